-- One row per id of some id spaces that was ever stored, each time it was: its ordinal.
-- Called by IdTextsStore.named when many ids leave a seat; expected: up to every visitor that ever synced.
select id_ordinal from partner_ids
where id_space in {id_spaces:Array(String)} and action = 'stored' and id != ''
