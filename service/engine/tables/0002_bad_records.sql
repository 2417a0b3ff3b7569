-- One row per record that could not be loaded, with its bytes (redacted at the door) and the reason; gone after 30 days.
create table bad_records (
  chunk UInt64,
  row UInt32,
  received_at DateTime64(3, 'UTC'),
  reason LowCardinality(String),
  detail String,
  bytes String codec(ZSTD(1))
) engine = MergeTree order by (chunk, row)
ttl toDateTime(received_at) + interval 30 day
