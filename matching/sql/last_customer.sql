-- One row: the highest customer ordinal ever given, erased ones too; 0 when there is none.
-- Called by CustomerStore.open.
select max(customer) from customers
