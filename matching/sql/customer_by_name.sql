-- One row: the customer who took this name last and still has it; none when nobody has it.
-- Called by CustomerStore.find_by_name.
select customer from (
  select customer, argMax(value, at) as stands, max(at) as since from customers
  where kind = {kind:String} and customer in (
    select customer from customers where kind = {kind:String} and value = {value:String}
  )
  group by customer, source, slot
)
where stands = {value:String}
order by since desc, customer desc
limit 1
