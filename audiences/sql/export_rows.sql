-- One row per (run, seat) with the state that stands; of one run, or of the newest runs when `run` is 0. Called by the
-- export store for the API; at most `limit` rows.
select
  run,
  seat,
  argMax(exports.status, (exports.status = 'published', exports.at)) as standing,
  argMax(exports.report, (exports.status = 'published', exports.at)) as standing_report,
  toUnixTimestamp64Milli(max(exports.at)) as at_ms
from exports
where {run:UInt64} = 0 or run = {run:UInt64}
group by run, seat
order by run desc, seat
limit {limit:UInt32}
