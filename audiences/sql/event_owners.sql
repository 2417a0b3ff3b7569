-- One row per event of these kinds on these days: whose it is. `criteria` counts them per person; up to tens of
-- millions of rows of 8 bytes (Native).
select visitor, customer
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
