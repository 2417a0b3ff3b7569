-- Copies events of erased visitors that name another customer, without the visitor (a key column cannot be updated);
-- `erase_events` then takes the originals away. A repeated run copies nothing twice. Few rows.
insert into events (
  chunk, row, received_at, at, day, event, site, visitor, customer, message_hash, flags, properties,
  url, currency, total, revenue, `products.product_id`, `products.sku`, `products.name`, `products.category`,
  `products.brand`, `products.variant`, `products.price`, `products.quantity`)
select
  chunk, row, received_at, at, day, event, site, 0, customer, message_hash, flags, properties,
  url, currency, total, revenue, `products.product_id`, `products.sku`, `products.name`, `products.category`,
  `products.brand`, `products.variant`, `products.price`, `products.quantity`
from events
where visitor in {visitors:Array(UInt32)}
  and customer != 0 and customer not in {customers:Array(UInt32)}
  and (chunk, row) not in (
    select chunk, row from events
    where visitor = 0 and chunk in (select distinct chunk from events where visitor in {visitors:Array(UInt32)}))
