-- One row per ordinal asked for: the id space and the id it stands for.
-- Called by PartnerIdsStore.ids_of for seats' removals; expected: as many rows as asked.
select distinct id_ordinal, id_space, id from partner_ids
where id_ordinal in {ordinals:Array(UInt32)} and id != ''
