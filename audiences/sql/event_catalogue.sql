-- One row per event name: how often and when it came; a few hundred rows.
select event, count(), toUnixTimestamp64Milli(min(at)), toUnixTimestamp64Milli(max(at))
from events
group by event
order by count() desc, event
