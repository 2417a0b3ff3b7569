-- Deletes every form and address part of these customers. Called by CrmRowsStore.erase.
alter table contact_forms delete
where customer in {customers:Array(UInt32)} settings mutations_sync = 2
