-- One row per id of one id space that was stored for a visitor or deleted, as numbers, each visitor's newest last.
-- Called by IdStatesStore.read; expected: one for every visitor that ever synced, more where ids are confirmed.
-- Why all and not the newest alone: in the table's order they are read in half the time that choosing takes here.
select visitor, id_ordinal, received_at, toUInt8(action = 'stored')
from partner_ids
where id_space = {id_space:String} and visitor >= {first:UInt32} and action in ('stored', 'deleted')
  and received_at <= fromUnixTimestamp64Milli({as_of_ms:Int64})
order by visitor, received_at, chunk, row
