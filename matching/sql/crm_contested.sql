-- One row per alias that a source's file gave to one customer and that another one still has: the claim just made, and
-- the claims beside it. Called by CrmRowsStore at the end of an import; expected: none, or a few mistakes of the CRM.
select toString(kind), value, groupArray((customer, toString(source), slot, toUnixTimestamp64Milli(at))) as claims
from customers final
where kind in {kinds:Array(String)} and value != '' and (kind, value) in (
  select kind, value from customers
  where kind in {kinds:Array(String)} and value != '' and at >= fromUnixTimestamp64Milli({since_ms:Int64})
)
group by kind, value
having uniqExact(customer) > 1
order by kind, value
limit {limit:UInt32}
