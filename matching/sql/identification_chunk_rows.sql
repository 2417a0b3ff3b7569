-- One row per identification of one chunk: its row number.
-- Called by PeopleStore.rows_of_chunk when a load is in doubt; expected: at most a chunk's records.
select row from identifications where chunk = {chunk:UInt64} order by row
