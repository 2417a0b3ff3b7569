-- One row: the highest ordinal of a partner id ever stored, erased ones too; 0 when there is none.
-- Called by IdOrdinalsStore.open.
select max(id_ordinal) from partner_ids
