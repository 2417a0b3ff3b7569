-- One row: the highest chunk number with a ledger row, 0 when there is none. Called at start.
select max(chunk) from chunks
