-- One row per act of an operator on people's data; each row carries the hash of the one before.
create table audit (
  at DateTime64(6, 'UTC'),
  actor String,
  act LowCardinality(String),
  subject String,
  detail String,
  hash String
) engine = MergeTree order by at
