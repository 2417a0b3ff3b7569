-- One row per event of these owners, newest first; where a customer is among them, what its browsers did in the name
-- of another customer is left out. For card, access and "why"; at most `limit` rows.
select toUnixTimestamp64Milli(at), event, site, visitor, customer, flags, properties, chunk, row
from events_by_visitor
where owner in {owners:Array(UInt32)}
  and (customer = 0 or empty({customers:Array(UInt32)}) or customer in {customers:Array(UInt32)})
order by at desc, chunk desc, row desc
limit 1 by chunk, row
limit {limit:UInt32}
