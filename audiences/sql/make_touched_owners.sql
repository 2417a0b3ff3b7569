-- The owners whose events are read again, for as long as that takes; one column, in memory.
create table if not exists touched_owners (owner UInt32) engine = Memory
