-- One row per event of these kinds on these days whose amount of the whole message (`total` or `revenue`) passes: its
-- owners, whether it counts against a sum, and the amount in both fields. `criteria` adds them up per person; up to tens
-- of millions of rows of 25 bytes (Native).
-- Why so bare: with few rows a longer query costs more to analyse than to run.
select visitor, customer, cast(event = {refund:String} as UInt8), {column:Identifier}, {other:Identifier}
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and {column:Identifier} between {least:Float64} and {most:Float64}
  and (empty({numbers:Array(Float64)}) or has({numbers:Array(Float64)}, {column:Identifier}))
  and ({field:String} = '' or currency = '' or not has({sites:Array(String)}, site)
       or upper(currency) = ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)])
