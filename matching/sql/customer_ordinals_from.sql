-- One row per customer ordinal at or above one that is in doubt.
-- Called by CustomerStore after an insert whose answer was lost; expected: one batch's new customers.
select distinct customer from customers where customer >= {first:UInt32} and kind = 'crm_id'
