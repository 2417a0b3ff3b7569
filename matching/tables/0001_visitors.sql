-- One row per visitor ordinal, given once; an erased visitor keeps its row with a zero id.
-- Why fsync: an ordinal must be on disk before any event carries it.
create table visitors (
  ordinal UInt32,
  id FixedString(16),
  chunk UInt64
) engine = MergeTree order by ordinal
settings fsync_after_insert = 1, fsync_part_directory = 1
