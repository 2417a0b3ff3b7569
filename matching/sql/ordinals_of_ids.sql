-- One row per text that is an id of one id space: its ordinal.
-- Called by IdTextsStore.ordinals_of for texts of the erased; expected: none or one for each of a few texts.
select distinct id_ordinal from partner_ids
where id_space = {id_space:String} and id in {ids:Array(String)} and action = 'stored'
