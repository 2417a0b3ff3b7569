-- Takes away what an attempt of a run wrote about a seat before it was cut short. Called by the export store before the
-- run's state is written again.
delete from ledger where seat = {seat:String} and run = {run:UInt64} and kind = 'held'
