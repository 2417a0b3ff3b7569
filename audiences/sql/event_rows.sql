-- One row per event of these kinds on these days, with an amount of the whole message (`total` or `revenue`, else 0).
-- `criteria` and `rfm` add amounts up per person and put steps in order; a refund counts against the sum and may name
-- its amount in the other field. Up to tens of millions of rows of 43 bytes (RowBinary).
with
  event = {refund:String} as is_refund,
  multiIf({field:String} = 'total', total, {field:String} = 'revenue', revenue, 0.) as named,
  multiIf(not is_refund or named != 0, named, {field:String} = 'total', revenue, {field:String} = 'revenue', total, 0.)
    as found
select
  visitor, customer, toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at), chunk, row, toUInt16(day),
  toUInt8(is_refund), toFloat64(if(is_refund, -abs(found), found))
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and ({field:String} = '' or currency = '' or not has({sites:Array(String)}, site)
       or upper(currency) = ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)])
