-- The rows of `event_rows` that meet conditions, read from the promoted columns alone: for conditions that a missing
-- value and an empty one (0, '') answer alike; `event_rows_where` answers all others. All conditions on lines must hold
-- for one line, and amounts of lines are those of the lines that fit. A text that is a JSON list counts as that list, as
-- lists are promoted so; in numbers a list is 0 and true is 1. Up to millions of rows of 43 bytes (RowBinary).
-- Why `if` and not `multiIf`: with constant conditions only the chosen branch is read and run. Why a query inside: what
-- it names is worked out once, where an alias would be written out again at each use. Why only one condition on other
-- properties and two on lines: each further one costs the analysis of the query some 20 ms, whether it is used or not.
with
  if({field:String} = '', 0.,
  if({field:String} = 'total', if(is_refund and whole_total = 0, whole_revenue, whole_total),
  if({field:String} = 'revenue', if(is_refund and whole_revenue = 0, whole_total, whole_revenue),
  if({field:String} = 'products.quantity',
     arraySum((fit, quantity) -> if(fit, quantity, 0.), fits, quantities),
     arraySum((fit, price, quantity) -> if(fit, price * if(quantity > 0, quantity, 1.), 0.), fits, prices, quantities)
  )))) as found
select
  visitor, customer, toInt64(if({moments:Bool}, toUnixTimestamp64Milli(at), 0)),
  toInt64(if({moments:Bool}, toUnixTimestamp64Milli(received_at), 0)), toUInt64(if({moments:Bool}, chunk, 0)),
  toUInt32(if({moments:Bool}, row, 0)), toUInt16(day),
  toUInt8(is_refund), if(not isFinite(found), 0., if(is_refund, -abs(found), found))
from (
  with
    (op, texts, numbers, text, number, whole) ->
      if(op in ('is', 'in', 'is_not'), has(texts, text) or has(numbers, number),
      if(op = 'at_least', if(empty(numbers), text >= texts[1], number >= numbers[1] and number < inf),
      if(op = 'at_most', if(empty(numbers), text <= texts[1], number <= numbers[1] and number > -inf),
      if(op = 'between', if(empty(numbers), text between texts[1] and texts[2], number between numbers[1] and numbers[2]),
         if(whole, text = texts[1], position(text, texts[1]) > 0))))) as passes,
    (numbers, text) -> if(empty(numbers), nan, ifNull(toFloat64OrNull(text), nan)) as number_of,
    raw -> if(startsWith(raw, '"'), JSONExtractString(raw), raw) as text_of,
    text -> arrayMap(each -> text_of(each), arrayFilter(each -> each != 'null', JSONExtractArrayRaw(text))) as members_of,
    (op, texts, numbers, text, number) -> (op = 'is_not') != (if(startsWith(text, '[') and isValidJSON(text),
      arrayExists(each -> passes(op, texts, numbers, each, number_of(numbers, each), true), members_of(text)),
      text != '' and passes(op, texts, numbers, text, number, false))) as value_passes,
    (field, op, texts, numbers) ->
      if(field = 'url', value_passes(op, texts, numbers, url, number_of(numbers, url)),
         passes(op, texts, numbers, '', if(field = 'total', total, revenue), false)) as column_passes,
    (field, op, texts, numbers) ->
      if(field in ('price', 'quantity'),
         arrayMap(number -> passes(op, texts, numbers, '', number, false),
                  if(field = 'price', products.price, products.quantity)),
         arrayMap(text -> value_passes(op, texts, numbers, text, number_of(numbers, text)),
                  if(field = 'category', products.category,
                  if(field = 'name', products.name,
                  if(field = 'brand', products.brand,
                  if(field = 'variant', products.variant,
                  if(field = 'sku', products.sku, products.product_id))))))) as lines_pass,
    n -> if(n > length({fields:Array(String)}), true,
      column_passes(({fields:Array(String)})[n], ({ops:Array(String)})[n], ({texts:Array(Array(String))})[n],
                    ({numbers:Array(Array(Float64))})[n])) as condition_holds,
    length({line_fields:Array(String)}) as tests,
    n -> if(n > tests, arrayMap(each -> true, products.price),
      lines_pass(({line_fields:Array(String)})[n], ({line_ops:Array(String)})[n],
                 ({line_texts:Array(Array(String))})[n], ({line_numbers:Array(Array(Float64))})[n])) as lines_hold
  select
    visitor, customer, at, received_at, chunk, row, day, event = {refund:String} as is_refund,
    if({field:String} in ('total', 'revenue'), if(isFinite(total), total, 0.), 0.) as whole_total,
    if({field:String} in ('total', 'revenue'), if(isFinite(revenue), revenue, 0.), 0.) as whole_revenue,
    if(not startsWith({field:String}, 'products.'), [],
      arrayMap(price -> if(isFinite(price), price, 0.), products.price)) as prices,
    if(not startsWith({field:String}, 'products.'), [],
      arrayMap(quantity -> if(isFinite(quantity), quantity, 0.), products.quantity)) as quantities,
    if(tests = 0, if(not startsWith({field:String}, 'products.'), [], arrayMap(each -> 1, products.price)),
      arrayMap((a, b) -> a and b, lines_hold(1), lines_hold(2))) as fits
  from {source:Identifier}
  where event in {events:Array(String)}
    and day between {first:Date} and {last:Date}
    and if({site:String} = '', true, site = {site:String})
    and bitAnd(flags, 2) = 0
    and if({field:String} = '', true,
           currency = '' or not has({sites:Array(String)}, site)
           or upper(currency) = ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)])
    and condition_holds(1)
)
where if(length({line_fields:Array(String)}) = 0, true, has(fits, 1))
