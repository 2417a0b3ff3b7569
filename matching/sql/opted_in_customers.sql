-- One row per customer whose newest opt_in is '1'; of two at one time the refusal stands.
-- Called by CustomerStore.opted_in; expected: up to every customer, 4 bytes each.
select customer from customers
where kind = 'opt_in'
group by customer
having argMax(value, (at, value = '0')) = '1'
