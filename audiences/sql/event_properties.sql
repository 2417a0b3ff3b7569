-- One row per sampled event of a name on a site: its properties. One in `one_in` messages is taken, by its hash, so that
-- every event has the same chance; at most `limit` rows. Asked by CatalogueStore.seen.
select properties
from events
where event = {event:String}
  and day between {first:Date} and {last:Date}
  and site = {site:String}
  and cityHash64(message_hash, row) % {one_in:UInt64} = 0
limit {limit:UInt32}
