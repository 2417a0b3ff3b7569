-- The rows of `event_rows` that meet conditions on any path of the properties, which are parsed for every row: the
-- general form behind `event_rows_promoted`. All conditions on lines must hold for one line, and amounts of lines are
-- those of the lines that fit. Of a list one member must pass, null is none. Up to a million rows of 43 bytes (RowBinary).
-- Why `if` and not `multiIf`: with constant conditions only the chosen branch is run. Why a query inside: what it names
-- is worked out once, where an alias would be written out again at each use.
with
  raw -> ifNull(toFloat64OrNull(if(startsWith(raw, '"'), JSONExtractString(raw), raw)), 0.) as read_amount,
  raw -> if(isFinite(read_amount(raw)), read_amount(raw), 0.) as amount_of,
  if({field:String} = '', 0.,
  if({field:String} = 'products.price',
     arraySum(line -> amount_of(JSONExtractRaw(line, 'price'))
                      * if(amount_of(JSONExtractRaw(line, 'quantity')) > 0,
                           amount_of(JSONExtractRaw(line, 'quantity')), 1.), fits),
  if(startsWith({field:String}, 'products.'),
     arraySum(line -> amount_of(if(position({field:String}, '.', 10) = 0, JSONExtractRaw(line, substring({field:String}, 10)),
       arrayFold((inner, step) -> JSONExtractRaw(inner, step), splitByChar('.', substring({field:String}, 10)), line))), fits),
  if({field:String} in ('total', 'revenue') and is_refund and amount_of(named) = 0, amount_of(other), amount_of(named)))))
    as found
select
  visitor, customer, toInt64(if({moments:Bool}, toUnixTimestamp64Milli(at), 0)),
  toInt64(if({moments:Bool}, toUnixTimestamp64Milli(received_at), 0)), toUInt64(if({moments:Bool}, chunk, 0)),
  toUInt32(if({moments:Bool}, row, 0)), toUInt16(day),
  toUInt8(is_refund), toFloat64(if(is_refund, -abs(found), found))
from (
  with
    (json, path) -> if(position(path, '.') = 0, JSONExtractRaw(json, path),
      arrayFold((inner, step) -> JSONExtractRaw(inner, step), splitByChar('.', path), json)) as raw_of,
    raw -> if(startsWith(raw, '"'), JSONExtractString(raw), raw) as text_of,
    raw -> if(startsWith(raw, '['), arrayFilter(each -> each != 'null', JSONExtractArrayRaw(raw)), [raw]) as members_of,
    (op, texts, numbers, text, number, whole) ->
      if(op in ('is', 'in', 'is_not'), has(texts, text) or has(numbers, number),
      if(op = 'at_least', if(empty(numbers), text >= texts[1], number >= numbers[1] and number < inf),
      if(op = 'at_most', if(empty(numbers), text <= texts[1], number <= numbers[1] and number > -inf),
      if(op = 'between', if(empty(numbers), text between texts[1] and texts[2], number between numbers[1] and numbers[2]),
         if(whole, text = texts[1], position(text, texts[1]) > 0))))) as text_passes,
    (op, texts, numbers, raw) -> (op = 'is_not') != (raw not in ('', 'null') and if(op = 'exists', true,
      arrayExists(text -> text_passes(op, texts, numbers, text, ifNull(toFloat64OrNull(text), nan), startsWith(raw, '[')),
                  arrayMap(each -> text_of(each), members_of(raw))))) as raw_passes,
    n -> if(n > length({fields:Array(String)}), true,
      raw_passes(({ops:Array(String)})[n], ({texts:Array(Array(String))})[n], ({numbers:Array(Array(Float64))})[n],
                 raw_of(properties, ({fields:Array(String)})[n]))) as condition_holds,
    length({line_fields:Array(String)}) as tests,
    (n, line) -> if(n > tests, true,
      raw_passes(({line_ops:Array(String)})[n], ({line_texts:Array(Array(String))})[n],
                 ({line_numbers:Array(Array(Float64))})[n],
                 raw_of(line, ({line_fields:Array(String)})[n]))) as line_holds
  select
    visitor, customer, at, received_at, chunk, row, day, event = {refund:String} as is_refund,
    if({field:String} = '' or startsWith({field:String}, 'products.'), '', raw_of(properties, {field:String})) as named,
    if({field:String} = 'total', JSONExtractRaw(properties, 'revenue'),
    if({field:String} = 'revenue', JSONExtractRaw(properties, 'total'), '')) as other,
    if(tests = 0 and not startsWith({field:String}, 'products.'), [],
    if(tests = 0, JSONExtractArrayRaw(properties, 'products'),
      arrayFilter(line -> line_holds(1, line) and line_holds(2, line) and line_holds(3, line) and line_holds(4, line),
                  JSONExtractArrayRaw(properties, 'products')))) as fits
  from {source:Identifier}
  where event in {events:Array(String)}
    and day between {first:Date} and {last:Date}
    and if({site:String} = '', true, site = {site:String})
    and bitAnd(flags, 2) = 0
    and if({field:String} = '', true,
           currency = '' or not has({sites:Array(String)}, site)
           or upper(currency) = ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)])
    and condition_holds(1) and condition_holds(2) and condition_holds(3) and condition_holds(4)
)
where if(length({line_fields:Array(String)}) = 0, true, notEmpty(fits))
