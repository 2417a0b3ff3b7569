-- One row per customer whose newest answer of a kind (`opt_in` and the like) is '1'; of two at one time the refusal stands.
-- Called by CustomerStore.opted_in and granted; expected: up to every customer, 4 bytes each.
select customer from customers
where kind = {kind:String}
group by customer
having argMax(value, (at, value = '0')) = '1'
