-- Events of touched people with their promoted columns, for as long as criteria ask of them; in memory.
create table if not exists touched_events as events engine = Memory
