-- One row is one token of one event: the token's code (an event's plus its recency, 0 the newest), visitor, customer.
-- Streamed by TokenStore.tokens as RowBinary, 12 bytes a row; a few rows per event in the time asked for.
select toUInt32(code + if(startsWith(token, 'event:'), recency, 0)) as code, visitor, customer
from (
  select
    arrayJoin(arrayConcat(
      [concat('event:', event), concat('site:', site)],
      arrayMap(each -> concat('category:', each), arrayDistinct(`products.category`)),
      arrayMap(each -> concat('product:', each), arrayDistinct(`products.name`))
    )) as token,
    transform(token, {tokens:Array(String)}, {codes:Array(UInt32)}, toUInt32(0)) as code,
    arrayCount(edge -> toUnixTimestamp64Milli(at) < edge, {edges_ms:Array(Int64)}) as recency,
    visitor,
    customer
  from events
  where at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')
    and at < fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')
    and day >= toDate(fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')) - 1
    and day <= toDate(fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')) + 1
    and bitAnd(flags, {bot:UInt8}) = 0
)
where code != 0
