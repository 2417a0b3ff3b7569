-- The same messages once more for point reads (card, access, erasure): one row per event and owner, where an owner is
-- the event's visitor, its customer, or both (then two rows).
-- Why granules of 1024 rows: a merge costs half of what it does with 256, and a point read no more. Why no statistics:
-- nobody asks for them, and each merge would compute them.
-- Why LZ4 and blocks of their own for properties: sorted by owner they pack badly, ZSTD would cost a quarter of the insert
-- to save a third of the bytes; and a granule of 1024 rows is read whole, so that small blocks gain nothing.
-- Why fsync: a chunk leaves the spool once its rows are acknowledged, so they must be on disk by then.
-- Why merge_selector_base: chunks make parts of like size, and merging sixteen instead of five at once rewrites each row
-- half as often; this table has some thirty parts then instead of a dozen.
-- Why min_age_to_force_merge: a month that is over is merged to one part once nothing of it is younger than a day; whoever
-- reads some owners' events then reads half as much.
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
  properties String settings (min_compress_block_size = 32768, max_compress_block_size = 65536),
  index chunk_range chunk type minmax granularity 1
) engine = MergeTree partition by toYYYYMM(received_at)
order by (owner, at)
settings fsync_after_insert = 1, fsync_part_directory = 1, merge_selector_base = 16,
  min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1,
  index_granularity = 1024, auto_statistics_types = '', min_compress_block_size = 2048, max_compress_block_size = 8192
