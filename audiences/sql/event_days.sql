-- One row per event of this name on these days: the day and whose it is; refused where more than `rows_max` would be looked
-- through, which the key tells before the first is read: of more than a million `daily_bitmaps` makes sets faster. Asked by
-- EventDaysStore; rows of 10 bytes (Native). Why in brackets: outermost settings are read before parameters.
select * from (
  select toUInt16(day), visitor, customer
  from events
  where event = {event:String} and day between {first:Date} and {last:Date} and bitAnd(flags, 2) = 0
  settings max_rows_to_read = {rows_max:UInt64}, read_overflow_mode = 'throw'
)
