-- One row per event of this name on these days: the day and whose it is. Asked by EventDaysStore with a limit of rows, for
-- of more than a million `daily_bitmaps` makes sets faster; rows of 10 bytes (Native).
select toUInt16(day), visitor, customer
from events
where event = {event:String} and day between {first:Date} and {last:Date} and bitAnd(flags, 2) = 0
