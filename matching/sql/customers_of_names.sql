-- One row per name that somebody has: the customer who took it last and still has it, as customer_by_name.sql says.
-- Called by KnownNamesStore.customers_of; expected: at most as many as were asked for.
select stands, argMax(customer, (since, customer)) from (
  select customer, argMax(value, at) as stands, max(at) as since from customers
  where kind = {kind:String} and customer in (
    select customer from customers where kind = {kind:String} and value in {values:Array(String)}
  )
  group by customer, source, slot
)
where stands in {values:Array(String)}
group by stands
