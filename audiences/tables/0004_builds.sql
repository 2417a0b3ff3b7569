-- One row per finished build: the members as a bitmap of person ordinals under the audience's identity.
create table builds (
  audience String,
  build UInt64,
  version UInt32,
  identity LowCardinality(String),
  at DateTime64(3, 'UTC'),
  status LowCardinality(String),
  detail String,
  size UInt64,
  members AggregateFunction(groupBitmap, UInt32)
) engine = MergeTree order by (audience, build)
