-- Removes every consent of these visitors, at once; called by ConsentStore when people are erased.
-- Size: the visitors of a few people, in slices of at most 10,000.
alter table consents delete where visitor in {visitors:Array(UInt32)} settings mutations_sync = 2
