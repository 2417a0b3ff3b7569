-- One row per message: what a visitor or customer did. Product lines are arrays in the row, so that one row is one
-- message and exactly-once needs one ledger. Promoted columns are filled by one parse of `properties`.
-- Why fsync: a chunk leaves the spool once its rows are acknowledged, so they must be on disk by then.
-- Why no statistics: nobody asks for them, and each merge would compute them.
-- Why merge_selector_base: chunks make parts of like size, and merging sixteen instead of five at once rewrites each row
-- half as often; a table has some thirty parts then instead of a dozen.
-- Why min_age_to_force_merge: a month that is over is merged to one part once nothing of it is younger than a day; whoever
-- reads some owners' events then reads half as much.
create table events (
  chunk UInt64,
  row UInt32,
  received_at DateTime64(3, 'UTC'),
  at DateTime64(3, 'UTC'),
  day Date,
  event LowCardinality(String),
  site LowCardinality(String),
  visitor UInt32,
  customer UInt32,
  message_hash UInt64,
  flags UInt8,
  properties String codec(ZSTD(1)),
  promoted Tuple(
    url String, currency String, total Float64, revenue Float64,
    products Array(Tuple(product_id String, sku String, name String, category String, brand String,
                         variant String, price Float64, quantity Float64))
  ) ephemeral JSONExtract(properties, 'Tuple(
    url String, currency String, total Float64, revenue Float64,
    products Array(Tuple(product_id String, sku String, name String, category String, brand String,
                         variant String, price Float64, quantity Float64)))'),
  url String default tupleElement(promoted, 'url'),
  currency LowCardinality(String) default tupleElement(promoted, 'currency'),
  total Float64 default tupleElement(promoted, 'total'),
  revenue Float64 default tupleElement(promoted, 'revenue'),
  `products.product_id` Array(String) default tupleElement(tupleElement(promoted, 'products'), 'product_id'),
  `products.sku` Array(String) default tupleElement(tupleElement(promoted, 'products'), 'sku'),
  `products.name` Array(LowCardinality(String)) default tupleElement(tupleElement(promoted, 'products'), 'name'),
  `products.category` Array(LowCardinality(String)) default tupleElement(tupleElement(promoted, 'products'), 'category'),
  `products.brand` Array(LowCardinality(String)) default tupleElement(tupleElement(promoted, 'products'), 'brand'),
  `products.variant` Array(LowCardinality(String)) default tupleElement(tupleElement(promoted, 'products'), 'variant'),
  `products.price` Array(Float64) default tupleElement(tupleElement(promoted, 'products'), 'price'),
  `products.quantity` Array(Float64) default tupleElement(tupleElement(promoted, 'products'), 'quantity'),
  index chunk_range chunk type minmax granularity 1
) engine = MergeTree partition by toYYYYMM(received_at)
order by (event, day, visitor, customer)
settings fsync_after_insert = 1, fsync_part_directory = 1, merge_selector_base = 16,
  min_age_to_force_merge_seconds = 86400, min_age_to_force_merge_on_partition_only = 1, auto_statistics_types = ''
