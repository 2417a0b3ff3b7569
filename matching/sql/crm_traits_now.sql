-- One row per trait that these customers have. Called by CrmRowsStore for the customers whose row of a file changed;
-- expected: a dozen for each.
select customer, toString(trait), toString(kind), text, number, toString(source) from customer_traits final
where trait in {traits:Array(String)} and kind != ''
  and customer between {first:UInt32} and {last:UInt32} and customer in {customers:Array(UInt32)}
