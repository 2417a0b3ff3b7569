-- One row per name of a customer: kind 'crm_id' gives the ordinal (once), every other kind is an alias or a
-- contact hash (AES-SIV encrypted, hex), 'opt_in' is '1' or '0', 'erased' marks an ordinal as never to be used.
-- Of equal rows merges keep the newest: a daily import of the same names does not let the table grow.
create table customers (
  customer UInt32,
  kind LowCardinality(String),
  value String,
  source LowCardinality(String),
  at DateTime64(3, 'UTC'),
  index value_filter value type bloom_filter(0.01) granularity 4
) engine = ReplacingMergeTree(at) order by (customer, kind, value)
settings fsync_after_insert = 1, fsync_part_directory = 1
