-- One row per state of a run of background work; the newest row of a run stands.
create table jobs (
  run UInt64,
  job LowCardinality(String),
  status LowCardinality(String),
  detail String,
  at DateTime64(6, 'UTC')
) engine = MergeTree order by (run, at)
