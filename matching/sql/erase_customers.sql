-- Deletes every name of these customers but the mark that keeps their ordinals taken.
-- Called by CustomerStore.erase, after the marks were written.
alter table customers delete
where customer in {customers:Array(UInt32)} and kind != 'erased' settings mutations_sync = 2
