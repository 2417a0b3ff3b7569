-- The rows of `event_rows` that meet conditions, read from the promoted columns alone: for conditions that a missing
-- value and an empty one (0, '') answer alike; `event_rows_where` answers all others. All conditions on lines must hold
-- for one line, and amounts of lines are those of the lines that fit. Up to millions of rows of 43 bytes (RowBinary).
with
  (text, number, op, texts, numbers) -> multiIf(
    op = 'is_not', not (has(texts, text) or has(numbers, number)),
    text = '' and not isFinite(number), false,
    op in ('is', 'in'), has(texts, text) or has(numbers, number),
    op = 'at_least', if(empty(numbers), text >= texts[1], number >= numbers[1]),
    op = 'at_most', if(empty(numbers), text <= texts[1], number <= numbers[1]),
    op = 'between', if(empty(numbers), text between texts[1] and texts[2], number between numbers[1] and numbers[2]),
    op = 'contains', position(text, texts[1]) > 0,
    false) as holds,
  text -> ifNull(toFloat64OrNull(text), nan) as number_of,
  event = {refund:String} as is_refund,
  arrayMap((product_id, sku, name, category, brand, variant, price, quantity) -> arrayAll((field, op, texts, numbers) ->
      holds(
        multiIf(field = 'category', category, field = 'name', name, field = 'brand', brand, field = 'variant', variant,
                field = 'sku', sku, field = 'product_id', product_id, ''),
        multiIf(field = 'price', price, field = 'quantity', quantity, field = 'category', number_of(category),
                field = 'name', number_of(name), field = 'brand', number_of(brand),
                field = 'variant', number_of(variant), field = 'sku', number_of(sku), number_of(product_id)),
        op, texts, numbers),
      {line_fields:Array(String)}, {line_ops:Array(String)},
      {line_texts:Array(Array(String))}, {line_numbers:Array(Array(Float64))}),
    products.product_id, products.sku, products.name, products.category, products.brand, products.variant,
    products.price, products.quantity) as fits,
  multiIf(
    {field:String} = 'total', total,
    {field:String} = 'revenue', revenue,
    {field:String} = 'products.price',
      arraySum((fit, price, quantity) -> fit * price * if(quantity > 0, quantity, 1.),
               fits, products.price, products.quantity),
    {field:String} = 'products.quantity', arraySum((fit, quantity) -> fit * quantity, fits, products.quantity),
    0.) as named,
  multiIf(not is_refund or named != 0, named, {field:String} = 'total', revenue, {field:String} = 'revenue', total, 0.)
    as found
select
  visitor, customer, toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at), chunk, row, toUInt16(day),
  toUInt8(is_refund), toFloat64(if(is_refund, -abs(found), found))
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and ({field:String} = '' or currency = '' or not has({sites:Array(String)}, site)
       or upper(currency) = ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)])
  and arrayAll((field, op, texts, numbers) -> holds(
        if(field = 'url', url, ''), multiIf(field = 'total', total, field = 'revenue', revenue, number_of(url)),
        op, texts, numbers),
      {fields:Array(String)}, {ops:Array(String)}, {texts:Array(Array(String))}, {numbers:Array(Array(Float64))})
  and (empty({line_fields:Array(String)}) or has(fits, 1))
