-- One row per state a run reached on a seat; the newest row of (run, seat) stands.
create table exports (
  run UInt64,
  seat String,
  status LowCardinality(String),
  report String,
  at DateTime64(6, 'UTC')
) engine = MergeTree order by (seat, run, at)
