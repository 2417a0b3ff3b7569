-- One row per chunk that is wholly in every table: written last, it is the proof of exactly-once.
create table chunks (
  chunk UInt64,
  name String,
  records UInt32,
  stored UInt32,
  dropped Map(LowCardinality(String), UInt32),
  bad UInt32,
  at DateTime64(3, 'UTC')
) engine = MergeTree order by chunk
settings fsync_after_insert = 1, fsync_part_directory = 1
