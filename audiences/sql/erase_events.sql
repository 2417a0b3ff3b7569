-- Deletes the events of erased customers and visitors for good; waits until the parts are rewritten.
alter table events delete
where customer in {customers:Array(UInt32)} or visitor in {visitors:Array(UInt32)}
settings mutations_sync = 2
