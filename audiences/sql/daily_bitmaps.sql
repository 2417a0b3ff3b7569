-- One row per day: as bitmap states the visitors of events that name no customer, the customers named, and the visitors
-- of the events that name one; 0 is nobody. Asked by EventDaysStore for many events of days that are not in memory
-- (RowBinary). Why in order: rows lie by day within a name, so that one day's sets are put together at a time.
select
  toUInt16(day) as on_day,
  groupBitmapStateIf(visitor, customer = 0),
  groupBitmapStateIf(customer, customer != 0),
  groupBitmapStateIf(visitor, customer != 0)
from events
where event = {event:String} and day between {first:Date} and {last:Date} and bitAnd(flags, 2) = 0
group by day
settings optimize_aggregation_in_order = 1
