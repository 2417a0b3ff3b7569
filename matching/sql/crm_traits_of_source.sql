-- One row per trait that a source gave these customers and that still stands.
-- Called by CrmRowsStore for customers whom a file no longer names; expected: a dozen for each.
select customer, toString(trait) as trait from customer_traits final
where kind != '' and source = {source:String}
  and customer between {first:UInt32} and {last:UInt32} and customer in {customers:Array(UInt32)}
