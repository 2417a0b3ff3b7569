-- One row per state a run reached on a seat; a published row stands for its (run, seat), else the newest. `removals` names
-- the frozen removals of `ledger` that the run's files hold.
create table exports (
  run UInt64,
  seat String,
  status LowCardinality(String),
  report String,
  removals Array(UInt64),
  at DateTime64(6, 'UTC')
) engine = MergeTree order by (seat, run, at)
