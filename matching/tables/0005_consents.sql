-- One row per change of a visitor's consent: the signals as they came, from which any decision can be made again.
-- Why fsync: a chunk leaves the spool once its rows are acknowledged, so they must be on disk by then.
create table consents (
  chunk UInt64,
  row UInt32,
  received_at DateTime64(3, 'UTC'),
  visitor UInt32,
  signals LowCardinality(String),
  site LowCardinality(String),
  index chunk_range chunk type minmax granularity 1
) engine = MergeTree partition by toYYYYMM(received_at)
order by (visitor, received_at)
settings fsync_after_insert = 1, fsync_part_directory = 1,
  index_granularity = 256, min_compress_block_size = 2048, max_compress_block_size = 8192
