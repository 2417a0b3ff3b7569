-- The table of correspondence, append-only: one row per offer of a sync, id stored, id deleted or id refused.
create table partner_ids (
  chunk UInt64,
  row UInt32,
  received_at DateTime64(3, 'UTC'),
  partner LowCardinality(String),
  id_space LowCardinality(String),
  action Enum8('offered' = 1, 'stored' = 2, 'deleted' = 3, 'refused' = 4),
  reason LowCardinality(String),
  nonce UInt64,
  visitor UInt32,
  id String,
  id_ordinal UInt32,
  source LowCardinality(String),
  index chunk_range chunk type minmax granularity 1
) engine = MergeTree partition by toYYYYMM(received_at)
order by (id_space, visitor, received_at)
settings index_granularity = 1024
