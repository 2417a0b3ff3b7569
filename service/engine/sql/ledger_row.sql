-- At most one row: what became of a chunk's records. Called for chunks found claimed at start.
select stored, bad, dropped from chunks where chunk = {chunk:UInt64} limit 1
