-- Deletes every row of these visitors. Called by PartnerIdsStore.erase.
alter table partner_ids delete
where visitor in {visitors:Array(UInt32)} settings mutations_sync = 2
