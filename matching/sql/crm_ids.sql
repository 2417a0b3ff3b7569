-- One row per customer asked for that is not erased: its CRM id.
-- Called by CustomerStore.crm_ids; expected: as many rows as asked, at most 50,000.
select distinct customer, value from customers
where customer in {customers:Array(UInt32)} and kind = 'crm_id'
