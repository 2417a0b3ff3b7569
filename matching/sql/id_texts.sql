-- One row per id of one id space that was ever stored, each time it was: its ordinal, its length in bytes, its text.
-- Called by IdTextsStore.pieces for a seat's file when many ids change; expected: up to every visitor that ever synced.
select id_ordinal, toUInt32(length(id)) as size, id from partner_ids
where id_space = {id_space:String} and action = 'stored' and id != ''
