-- One row per trait, holder and source: what a third party says of a customer, or of the visitor behind a partner's id.
-- The kind in which it is told shows in the holder's number. The newest row stands, an empty kind takes the value away.
-- Why beside customer_traits: a source keeps its own word, and none of them can overwrite the CRM's.
create table third_party_traits (
  trait LowCardinality(String),
  holder UInt32,
  source LowCardinality(String),
  kind LowCardinality(String),
  text String,
  number Float64,
  at DateTime64(3, 'UTC')
) engine = ReplacingMergeTree(at) order by (trait, holder, source)
