-- Deletes the digests of these customers' rows. Called by CrmRowsStore.erase.
alter table crm_rows delete
where customer in {customers:Array(UInt32)} settings mutations_sync = 2
