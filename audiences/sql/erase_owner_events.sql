-- Deletes the owner rows of erased customers and visitors for good; waits until the parts are rewritten.
alter table events_by_visitor delete
where customer in {customers:Array(UInt32)} or owner in {visitors:Array(UInt32)}
settings mutations_sync = 2
