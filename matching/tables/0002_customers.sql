-- One row per name of a customer: kind 'crm_id' gives the ordinal (once), every other kind is an alias or a
-- contact hash (AES-SIV encrypted, hex), 'opt_in' is '1' or '0', 'erased' marks an ordinal as never to be used.
create table customers (
  customer UInt32,
  kind LowCardinality(String),
  value String,
  source LowCardinality(String),
  at DateTime64(3, 'UTC')
) engine = MergeTree order by (customer, kind)
settings fsync_after_insert = 1, fsync_part_directory = 1
