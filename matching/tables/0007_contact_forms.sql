-- One row per further form of a customer's contact, and per part of its address: a hash or a text, AES-SIV encrypted,
-- as hex. Forms that coincide with the one that stands for them have no row; '-' is a form that cannot be had, the
-- empty value one that was taken away. The slot is that of the contact in `customers`. The newest row stands.
create table contact_forms (
  kind LowCardinality(String),
  customer UInt32,
  source LowCardinality(String),
  slot UInt8,
  value String codec(ZSTD(1)),
  at DateTime64(3, 'UTC')
) engine = ReplacingMergeTree(at) order by (kind, customer, source, slot)
