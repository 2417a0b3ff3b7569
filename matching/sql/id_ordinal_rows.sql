-- One row per partner id that has an ordinal, by ordinal.
-- Called by PartnerIdsStore.open; expected: every id ever stored.
select distinct id_ordinal, id_space, id from partner_ids
where id_ordinal != 0 and id != ''
order by id_ordinal
