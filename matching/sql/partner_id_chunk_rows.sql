-- One row per row of one chunk: its row number.
-- Called by PartnerIdsStore.rows_of_chunk when a load is in doubt; expected: at most a chunk's records.
select row from partner_ids where chunk = {chunk:UInt64} order by row
