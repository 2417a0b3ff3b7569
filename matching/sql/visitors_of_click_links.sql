-- One row per visitor that came by one of these click links.
-- Called by PersonRowsStore for the card of somebody who came by one: a link links its first visitors only.
select distinct visitor from identifications where proof in {proofs:Array(UInt64)} and proof != 0
