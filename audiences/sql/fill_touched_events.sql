-- Copies the touched owners' events of some names and any day to where conditions and sums are asked of them: from the
-- main table, for many owners. Properties, what is promoted beyond amounts and the exact order are copied where they are
-- asked for: they are most of a row, and for a few rows here and there the whole column is read. Blocks as in
-- `touched_rows`.
insert into touched_events (
  chunk, row, received_at, at, day, event, site, visitor, customer, flags, properties, url, currency, total, revenue,
  products.product_id, products.sku, products.name, products.category, products.brand, products.variant,
  products.price, products.quantity
)
select
  if({ordered:Bool}, chunk, 0), if({ordered:Bool}, row, 0), if({ordered:Bool}, received_at, toDateTime64(0, 3, 'UTC')),
  if({ordered:Bool}, at, toDateTime64(0, 3, 'UTC')), day, event, site, visitor, customer, flags,
  if({properties:Bool}, properties, ''), if({promoted:Bool}, url, ''), currency, total, revenue,
  if({promoted:Bool}, products.product_id, []), if({promoted:Bool}, products.sku, []), if({promoted:Bool}, products.name, []),
  if({promoted:Bool}, products.category, []), if({promoted:Bool}, products.brand, []),
  if({promoted:Bool}, products.variant, []), if({promoted:Bool}, products.price, []),
  if({promoted:Bool}, products.quantity, [])
from events
where event in {events:Array(String)}
  and (visitor in (select owner from touched_owners) or customer in (select owner from touched_owners))
  and bitAnd(flags, 2) = 0
settings max_block_size = 262144, preferred_block_size_bytes = 10000000
