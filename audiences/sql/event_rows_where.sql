-- The rows of `event_rows` that meet conditions on any path of the properties, which are parsed for every row: the
-- general form behind `event_rows_promoted`. All conditions on lines must hold for one line, and amounts of lines are
-- those of the lines that fit. Up to a million rows of 43 bytes (RowBinary).
-- Why `if` and not `multiIf`: with constant conditions only the chosen branch is run.
with
  (json, path) -> if(position(path, '.') = 0, JSONExtractRaw(json, path),
    arrayFold((inner, step) -> JSONExtractRaw(inner, step), splitByChar('.', path), json)) as raw_of,
  raw -> if(startsWith(raw, '"'), JSONExtractString(raw), raw) as text_of,
  raw -> ifNull(toFloat64OrNull(text_of(raw)), nan) as number_of,
  raw -> if(isFinite(number_of(raw)), number_of(raw), 0.) as amount_of,
  (op, texts, numbers, raw) ->
    if(op in ('is', 'in', 'is_not'), has(texts, text_of(raw)) or if(empty(numbers), 0, has(numbers, number_of(raw))),
    if(op = 'exists', true,
    if(op = 'at_least', if(empty(numbers), text_of(raw) >= texts[1], number_of(raw) >= numbers[1]),
    if(op = 'at_most', if(empty(numbers), text_of(raw) <= texts[1], number_of(raw) <= numbers[1]),
    if(op = 'between', if(empty(numbers), text_of(raw) between texts[1] and texts[2],
                          number_of(raw) between numbers[1] and numbers[2]),
    if(startsWith(raw, '['), arrayExists(each -> text_of(each) = texts[1], JSONExtractArrayRaw(raw)),
       position(text_of(raw), texts[1]) > 0)))))) as passes,
  (op, texts, numbers, raw) ->
    if(op = 'is_not', raw in ('', 'null') or not passes(op, texts, numbers, raw),
       raw not in ('', 'null') and passes(op, texts, numbers, raw)) as raw_passes,
  n -> if(n > length({fields:Array(String)}), true,
    raw_passes(({ops:Array(String)})[n], ({texts:Array(Array(String))})[n], ({numbers:Array(Array(Float64))})[n],
               raw_of(properties, ({fields:Array(String)})[n]))) as condition_holds,
  length({line_fields:Array(String)}) as tests,
  (n, line) -> if(n > tests, true,
    raw_passes(({line_ops:Array(String)})[n], ({line_texts:Array(Array(String))})[n],
               ({line_numbers:Array(Array(Float64))})[n],
               raw_of(line, ({line_fields:Array(String)})[n]))) as line_holds,
  JSONExtractArrayRaw(properties, 'products') as lines,
  if(tests = 0, lines, arrayFilter(line -> line_holds(1, line) and line_holds(2, line) and line_holds(3, line)
                                           and line_holds(4, line), lines)) as fits,
  event = {refund:String} as is_refund,
  if({field:String} = '', 0.,
  if({field:String} = 'products.price',
     arraySum(line -> amount_of(raw_of(line, 'price'))
                      * if(amount_of(raw_of(line, 'quantity')) > 0, amount_of(raw_of(line, 'quantity')), 1.), fits),
  if(startsWith({field:String}, 'products.'),
     arraySum(line -> amount_of(raw_of(line, substring({field:String}, 10))), fits),
     amount_of(raw_of(properties, {field:String}))))) as named,
  if({field:String} = 'total', if(is_refund and named = 0, amount_of(raw_of(properties, 'revenue')), named),
  if({field:String} = 'revenue', if(is_refund and named = 0, amount_of(raw_of(properties, 'total')), named),
  named)) as found
select
  visitor, customer, toUnixTimestamp64Milli(at), toUnixTimestamp64Milli(received_at), chunk, row, toUInt16(day),
  toUInt8(is_refund), toFloat64(if(is_refund, -abs(found), found))
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and if({site:String} = '', true, site = {site:String})
  and bitAnd(flags, 2) = 0
  and if({field:String} = '', true,
         currency = '' or not has({sites:Array(String)}, site)
         or upper(currency) = ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)])
  and condition_holds(1) and condition_holds(2) and condition_holds(3) and condition_holds(4)
  and if(tests = 0, true, notEmpty(fits))
