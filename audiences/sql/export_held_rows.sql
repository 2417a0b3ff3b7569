-- One row: how many rows of the ledger a run has written about a seat. Called by the export store before it writes the
-- run's state; not 0 only after an attempt that was cut short.
select count() from ledger where seat = {seat:String} and run = {run:UInt64} and kind = 'held'
