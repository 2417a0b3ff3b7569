-- One row per name of a customer: kind 'crm_id' gives the ordinal (once), every other kind is an alias or a
-- contact hash (AES-SIV encrypted, hex), 'opt_in', 'ad_user_data' and 'ad_personalization' are '1', '0' or '' for no
-- answer, 'erased' marks an ordinal as never to be used. A kind's names of one source stand in slots: another name in
-- the same slot replaces the one before, an empty one takes it away, and merges leave the newest alone.
-- Why a codec: hashes in hex shrink by half, which the default one cannot do.
create table customers (
  customer UInt32,
  kind LowCardinality(String),
  source LowCardinality(String),
  slot UInt8,
  value String codec(ZSTD(1)),
  at DateTime64(3, 'UTC'),
  index value_filter value type bloom_filter(0.01) granularity 4
) engine = ReplacingMergeTree(at) order by (customer, kind, source, slot)
settings fsync_after_insert = 1, fsync_part_directory = 1
