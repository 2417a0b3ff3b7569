-- One row per answer that a source gave for these customers: the newest, of two at one time the refusal.
-- Called by CrmRowsStore for the customers whose row of a file changed; expected: at most three for each.
select customer, toString(kind), argMax(value, (at, value = '0')) from customers
where source = {source:String} and customer between {first:UInt32} and {last:UInt32}
  and customer in {customers:Array(UInt32)} and kind in ('opt_in', 'ad_user_data', 'ad_personalization')
group by customer, kind
