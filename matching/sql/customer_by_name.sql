-- One row: the customer who took this name last; none when nobody has it.
-- Called by CustomerStore.find_by_name.
select argMax(customer, (at, customer)) from customers
where kind = {kind:String} and value = {value:String}
having count() > 0
