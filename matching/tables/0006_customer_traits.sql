-- One row per trait of a customer; the newest row stands, an empty kind takes the trait away.
create table customer_traits (
  trait LowCardinality(String),
  customer UInt32,
  kind LowCardinality(String),
  text String,
  number Float64,
  source LowCardinality(String),
  at DateTime64(3, 'UTC')
) engine = ReplacingMergeTree(at) order by (trait, customer)
