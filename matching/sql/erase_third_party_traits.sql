-- Deletes whatever third parties said of these customers and visitors. Called by ThirdPartyStore.erase.
alter table third_party_traits delete
where holder in {holders:Array(UInt32)} settings mutations_sync = 2
