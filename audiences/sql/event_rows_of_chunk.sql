-- One row per event of the chunk: its row number. The loader counts with them; at most the rows of one chunk (RowBinary).
select row from events where chunk = {chunk:UInt64} order by row
