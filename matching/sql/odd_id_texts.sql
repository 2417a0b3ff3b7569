-- One row per id of one id space that holds anything but letters and digits of ASCII, each time it was stored: its
-- ordinal, its length in bytes, its text.
-- Called by IdTextsStore.odd before a seat's file is written; expected: few, or every id where all are written so.
select id_ordinal, toUInt32(length(id)) as size, id from partner_ids
where id_space = {id_space:String} and action = 'stored' and id != '' and not match(id, '^[0-9A-Za-z]*$')
