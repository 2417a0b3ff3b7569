-- The table of correspondence, append-only: one row per offer of a sync, id stored, id deleted or id refused, and per
-- id that came before its offer: it waits, and is gone after 8 days; its answer is a row of the offer's chunk.
-- `browser` is the family of the browser that an offer was made to, in the row of its answer, too.
-- Why a projection: how partners answer is asked again and again, and is counted here once for all, part by part. Five
-- minutes are a part of every time zone's days.
-- Why fsync: a chunk leaves the spool once its rows are acknowledged, so they must be on disk by then.
create table partner_ids (
  chunk UInt64,
  row UInt32,
  received_at DateTime64(3, 'UTC'),
  partner LowCardinality(String),
  id_space LowCardinality(String),
  action Enum8('offered' = 1, 'stored' = 2, 'deleted' = 3, 'refused' = 4, 'waiting' = 5),
  reason LowCardinality(String),
  nonce UInt64,
  visitor UInt32,
  id String,
  id_ordinal UInt32,
  source LowCardinality(String),
  browser LowCardinality(String),
  index chunk_range chunk type minmax granularity 1,
  index id_filter id type bloom_filter(0.01) granularity 4,
  projection answers (
    select partner, toStartOfFiveMinutes(received_at), browser, action, reason, nonce != 0,
      count(), max(received_at)
    group by partner, toStartOfFiveMinutes(received_at), browser, action, reason, nonce != 0
  )
) engine = MergeTree partition by toYYYYMM(received_at)
order by (id_space, visitor, received_at)
ttl toDateTime(received_at) + interval 8 day delete where action = 'waiting'
settings fsync_after_insert = 1, fsync_part_directory = 1,
  index_granularity = 1024
