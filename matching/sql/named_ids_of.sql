-- One row per id asked for that some id spaces have: its ordinal.
-- Called by IdTextsStore.named when few ids leave a seat; expected: as many rows as asked, at most 10,000.
select distinct id_ordinal from partner_ids
where id_space in {id_spaces:Array(String)} and id_ordinal in {ordinals:Array(UInt32)}
  and action = 'stored' and id != ''
