-- One row per visitor that did anything: first and last time; at most the number of visitors asked for.
select owner, toUnixTimestamp64Milli(min(at)), toUnixTimestamp64Milli(max(at))
from events_by_visitor
where owner in {visitors:Array(UInt32)}
group by owner
