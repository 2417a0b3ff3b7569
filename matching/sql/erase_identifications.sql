-- Deletes every observation of these visitors and customers. Called by PeopleStore.erase.
alter table identifications delete
where visitor in {visitors:Array(UInt32)} or customer in {customers:Array(UInt32)}
settings mutations_sync = 2
