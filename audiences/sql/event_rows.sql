-- One row per event of these kinds on these days, with an amount of the whole message (`total` or `revenue`, else 0).
-- `criteria` and `rfm` add amounts up per person and put steps in order; a refund counts against the sum and may name
-- its amount in the other field. Up to tens of millions of rows of 43 bytes (RowBinary).
with
  event = {refund:String} as is_refund,
  number -> if(isFinite(number), number, 0.) as finite,
  finite(multiIf({field:String} = 'total', total, {field:String} = 'revenue', revenue, 0.)) as named,
  finite(multiIf(not is_refund or named != 0, named, {field:String} = 'total', revenue,
                 {field:String} = 'revenue', total, 0.)) as found
select
  visitor, customer, toInt64(if({moments:Bool}, toUnixTimestamp64Milli(at), 0)),
  toInt64(if({moments:Bool}, toUnixTimestamp64Milli(received_at), 0)), toUInt64(if({moments:Bool}, chunk, 0)),
  toUInt32(if({moments:Bool}, row, 0)), toUInt16(day),
  toUInt8(is_refund), if(is_refund, -abs(found), found)
from {source:Identifier}
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and ({field:String} = '' or currency = '' or not has({sites:Array(String)}, site)
       or upper(currency) = ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)])
