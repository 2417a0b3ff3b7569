-- One row per id asked for that one id space has: its ordinal, its length in bytes, its text.
-- Called by IdTextsStore.pieces for a seat's file when few ids change; expected: as many rows as asked, at most 10,000.
select distinct id_ordinal, toUInt32(length(id)) as size, id from partner_ids
where id_space = {id_space:String} and id_ordinal in {ordinals:Array(UInt32)} and action = 'stored' and id != ''
