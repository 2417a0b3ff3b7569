-- Deletes every trait of these customers. Called by CustomerStore.erase.
alter table customer_traits delete
where customer in {customers:Array(UInt32)} settings mutations_sync = 2
