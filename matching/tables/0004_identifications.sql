-- One row per observed fact "this visitor is this customer"; method 'page' (customer 0) confirms a click. `proof` is
-- the number of the click's link, 0 for other methods: one link links few visitors.
-- Why two filters: the card and an erasure ask by customer and by link, which without them reads every row.
-- Why fsync: a chunk leaves the spool once its rows are acknowledged, so they must be on disk by then.
create table identifications (
  chunk UInt64,
  row UInt32,
  received_at DateTime64(3, 'UTC'),
  at DateTime64(3, 'UTC'),
  visitor UInt32,
  customer UInt32,
  method LowCardinality(String),
  claimed UInt8,
  site LowCardinality(String),
  proof UInt64 default 0,
  index chunk_range chunk type minmax granularity 1,
  index customer_filter customer type bloom_filter(0.01) granularity 16,
  index proof_filter proof type bloom_filter(0.01) granularity 16
) engine = MergeTree partition by toYYYYMM(received_at)
order by (visitor, at, chunk, row)
settings fsync_after_insert = 1, fsync_part_directory = 1,
  index_granularity = 256, min_compress_block_size = 2048, max_compress_block_size = 8192
