-- The same messages once more for point reads (card, access, erasure): one row per event and owner, where an owner is
-- the event's visitor, its customer, or both (then two rows).
-- Why fsync: a chunk leaves the spool once its rows are acknowledged, so they must be on disk by then.
create table events_by_visitor (
  chunk UInt64,
  row UInt32,
  received_at DateTime64(3, 'UTC'),
  owner UInt32,
  at DateTime64(3, 'UTC'),
  event LowCardinality(String),
  site LowCardinality(String),
  visitor UInt32,
  customer UInt32,
  flags UInt8,
  properties String codec(ZSTD(1)),
  index chunk_range chunk type minmax granularity 1
) engine = MergeTree partition by toYYYYMM(received_at)
order by (owner, at)
settings fsync_after_insert = 1, fsync_part_directory = 1,
  index_granularity = 256, min_compress_block_size = 2048, max_compress_block_size = 8192
