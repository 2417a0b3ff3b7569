-- Deletes all builds but the newest ones of each audience and its newest that succeeded; waits until the parts are rewritten.
alter table builds delete
where (audience, build) not in (select audience, build from builds order by build desc limit {keep:UInt32} by audience)
  and (audience, build) not in (select audience, max(build) from builds where status = 'ok' group by audience)
settings mutations_sync = 2
