-- One row per event of these kinds on these days whose amount of the whole message (`total` or `revenue`) passes: whose
-- it is. Up to millions of rows of 8 bytes (Native).
-- Why so bare: with few rows a longer query costs more to analyse than to run.
select visitor, customer
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and {column:Identifier} between {least:Float64} and {most:Float64}
  and (empty({numbers:Array(Float64)}) or has({numbers:Array(Float64)}, {column:Identifier}))
