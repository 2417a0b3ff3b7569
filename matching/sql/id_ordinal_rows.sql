-- One row per id stored: its ordinal, its visitor and its key; again for each time that it was stored.
-- Called by IdOrdinalsStore.open; expected: every row with an id, 24 bytes each.
-- Why not distinct: telling ten million texts apart takes the database three times as long, and 1.5 GiB.
select id_ordinal, visitor,
  toFixedString(substring(SHA256(concat(toString(id_space), '\0', id)), 1, 16), 16)
from partner_ids
where id_ordinal != 0 and id != ''
