-- One row: how many ledger rows a chunk has (0 or 1). Called for chunks found claimed at start.
select count() from chunks where chunk = {chunk:UInt64}
