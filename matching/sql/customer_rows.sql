-- One row per customer and CRM id, by ordinal. Called by CustomerStore.open; expected: every customer.
select distinct customer, value from customers where kind = 'crm_id' order by customer
