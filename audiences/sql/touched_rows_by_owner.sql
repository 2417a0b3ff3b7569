-- The rows of `touched_rows`, read by owner: for few of them. The day is for the reader to say, who knows it from the
-- moment. An event of two touched owners stands twice in the table and comes once. Rows of 42 bytes (RowBinary).
-- Why prewhere: else the other conditions' columns are read for all that lies beside these owners' rows. Why blocks so
-- large: each owner's granule lies alone, and a block of few granules costs more to begin than to read. At most 4,000,000
-- rows of some 25 bytes are held at once, 100 MB a thread.
select
  visitor, customer, toUInt16(0), toUInt16(indexOf({events:Array(String)}, event)),
  toUInt16(if(empty({sites:Array(String)}), 0, indexOf({sites:Array(String)}, site))),
  toUnixTimestamp64Milli(at),
  toInt64(if({ordered:Bool}, toUnixTimestamp64Milli(received_at), 0)),
  toUInt64(if({ordered:Bool}, chunk, 0)), toUInt32(if({ordered:Bool}, row, 0))
from events_by_visitor
prewhere owner in (select owner from touched_owners)
where if({anything:Bool}, true, event in {events:Array(String)})
  and bitAnd(flags, 2) = 0
  and (owner = customer or customer not in (select owner from touched_owners))
settings max_block_size = 4000000, preferred_block_size_bytes = 0
