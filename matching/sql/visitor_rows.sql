-- One row per visitor ever given an ordinal (an erased one has a zero id), by ordinal.
-- Called by CustomerStore.open; expected: every visitor, 20 bytes each.
select ordinal, id from visitors order by ordinal
