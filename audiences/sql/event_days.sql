-- One row per event of this name on these days: the day and whose it is. Asked for few events, of which
-- `daily_bitmaps` would make sets no faster; up to a million rows of 10 bytes (Native).
select toUInt16(day), visitor, customer
from events
where event = {event:String} and day between {first:Date} and {last:Date} and bitAnd(flags, 2) = 0
