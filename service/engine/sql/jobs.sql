-- One row per run with its newest state, newest run first. Called by GET /api/jobs; at most {limit}.
select run, argMax(job, j.at) as job, argMax(status, j.at) as status, argMax(detail, j.at) as detail,
  toUnixTimestamp64Micro(max(j.at)) as at_us
from jobs as j
where {run:UInt64} = 0 or run = {run:UInt64}
group by run order by run desc limit {limit:UInt32}
