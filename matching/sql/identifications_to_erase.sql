-- One row per visitor and click link (0 = none) of the identifications that erase_identifications.sql deletes.
-- Called by PeopleStore.erase before it; expected: dozens.
select distinct visitor, proof from identifications
where visitor in {visitors:Array(UInt32)} or customer in {customers:Array(UInt32)}
