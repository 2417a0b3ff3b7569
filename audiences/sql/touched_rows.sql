-- One row per event of the touched owners, but bots' ones, of the names wanted or of any: whose, on which day, its name
-- and site as places in the lists asked for (0 = another), and with `ordered` when exactly. Read from the main table,
-- whose key prunes by name and day, for many owners; or from a copy of their events. Asked by TouchedEventsStore twice
-- per tick; thousands of rows of 42 bytes (RowBinary).
-- Why `if`: with a constant condition only the chosen branch is read. Why blocks so large: few rows of each are wanted, and
-- a block costs more to begin than to read; the second limit holds a block of long texts to 10 MB.
select
  visitor, customer, toUInt16(day), toUInt16(indexOf({events:Array(String)}, event)),
  toUInt16(if(empty({sites:Array(String)}), 0, indexOf({sites:Array(String)}, site))),
  toInt64(if({ordered:Bool}, toUnixTimestamp64Milli(at), 0)),
  toInt64(if({ordered:Bool}, toUnixTimestamp64Milli(received_at), 0)),
  toUInt64(if({ordered:Bool}, chunk, 0)), toUInt32(if({ordered:Bool}, row, 0))
from {source:Identifier}
where if({anything:Bool}, true, event in {events:Array(String)})
  and (visitor in (select owner from touched_owners) or customer in (select owner from touched_owners))
  and bitAnd(flags, 2) = 0
settings max_block_size = 262144, preferred_block_size_bytes = 10000000
