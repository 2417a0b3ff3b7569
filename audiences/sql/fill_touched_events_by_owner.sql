-- Copies what `fill_touched_events` copies, read by owner: for few of them. What is promoted is parsed again; the day is
-- not copied, the reader knows it from the moment.
insert into touched_events (chunk, row, received_at, at, event, site, visitor, customer, flags, properties)
select
  if({ordered:Bool}, chunk, 0), if({ordered:Bool}, row, 0), if({ordered:Bool}, received_at, toDateTime64(0, 3, 'UTC')),
  at, event, site, visitor, customer, flags, properties
from events_by_visitor
prewhere owner in (select owner from touched_owners)
where event in {events:Array(String)}
  and bitAnd(flags, 2) = 0
  and (owner = customer or customer not in (select owner from touched_owners))
