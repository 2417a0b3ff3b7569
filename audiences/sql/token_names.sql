-- One row is one token: an event, a site, a product category or a product name, with the pairs of visitor and customer
-- that have it. Asked by TokenStore.tokens before the rows; at most `most` rows per kind, the most frequent first.
select token, uniqCombined(visitor, customer) as owners
from (
  select
    arrayJoin(arrayConcat(
      [concat('event:', event), concat('site:', site)],
      arrayMap(each -> concat('category:', each), arrayDistinct(arrayFilter(each -> each != '', `products.category`))),
      arrayMap(each -> concat('product:', each), arrayDistinct(arrayFilter(each -> each != '', `products.name`)))
    )) as token,
    visitor,
    customer
  from events
  where at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    and at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
    and day >= toDate(fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')) - 1
    and day <= toDate(fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')) + 1
    and bitAnd(flags, {bot:UInt8}) = 0
)
group by token
having owners >= {minimum:UInt32}
order by owners desc, token
limit {most:UInt32} by substring(token, 1, position(token, ':'))
