-- Takes erased visitors out of the rows that another customer owns; waits until the parts are rewritten.
alter table events_by_visitor update visitor = 0
where visitor in {visitors:Array(UInt32)}
settings mutations_sync = 2
