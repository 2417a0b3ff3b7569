-- One row per segment and day of last sending: the ids a seat holds after a run, as a bitmap state in hexadecimal. Called
-- by the export store once in each export; segments x days rows.
select segment, sent_on, max(expires_days) as lifetime, hex(groupBitmapMergeState(ids)) as state
from ledger
where seat = {seat:String} and run = {run:UInt64} and kind = 'held'
group by segment, sent_on
order by segment, sent_on
