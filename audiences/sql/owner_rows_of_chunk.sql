-- One row per event and owner of the chunk; the loader counts with them; at most twice the chunk's rows (RowBinary).
select row, owner from events_by_visitor where chunk = {chunk:UInt64} order by row, owner
