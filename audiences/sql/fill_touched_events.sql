-- Copies the touched owners' events of some names and any day, with their properties, to where conditions and sums are
-- asked of them: from the main table, for many owners. What is promoted is copied too.
insert into touched_events
select * from events
where event in {events:Array(String)}
  and (visitor in (select owner from touched_owners) or customer in (select owner from touched_owners))
  and bitAnd(flags, 2) = 0
