-- One row per run of a seat that was prepared after the newest published one and may have been cut short. Called by the
-- export store at the start of an export; none or one row in peace.
select run, argMax(report, at) as newest_report, argMax(removals, at) as newest_removals
from exports
where seat = {seat:String} and status = 'prepared' and run > {published:UInt64}
group by run
order by run
