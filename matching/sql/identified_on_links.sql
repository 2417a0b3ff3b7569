-- One row per visitor who ever came by one of these click links.
-- Called by PeopleStore.erase, for a place on a link may become free; expected: a handful.
select distinct visitor from identifications where proof in {proofs:Array(UInt64)}
