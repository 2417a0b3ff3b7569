-- The rows of `event_rows` that meet conditions on any path of the properties, which are parsed for every row: the
-- general form behind `event_rows_promoted`. All conditions on lines must hold for one line, and amounts of lines are
-- those of the lines that fit. Up to a million rows of 43 bytes (RowBinary).
with
  (json, path) -> arrayFold((inner, step) -> JSONExtractRaw(inner, step), splitByChar('.', path), json) as raw_of,
  raw -> if(startsWith(raw, '"'), JSONExtractString(raw), raw) as text_of,
  raw -> ifNull(toFloat64OrNull(text_of(raw)), nan) as any_number_of,
  raw -> if(isFinite(any_number_of(raw)), any_number_of(raw), nan) as number_of,
  raw -> if(isNaN(number_of(raw)), 0., number_of(raw)) as amount_of,
  (raw, texts, numbers) -> has(texts, text_of(raw)) or has(numbers, number_of(raw)) as is_one_of,
  (raw, op, texts, numbers) -> multiIf(
    op = 'is_not', raw in ('', 'null') or not is_one_of(raw, texts, numbers),
    raw in ('', 'null'), false,
    op in ('is', 'in'), is_one_of(raw, texts, numbers),
    op = 'exists', true,
    op = 'at_least', if(empty(numbers), text_of(raw) >= texts[1], number_of(raw) >= numbers[1]),
    op = 'at_most', if(empty(numbers), text_of(raw) <= texts[1], number_of(raw) <= numbers[1]),
    op = 'between', if(empty(numbers), text_of(raw) between texts[1] and texts[2],
                       number_of(raw) between numbers[1] and numbers[2]),
    op = 'contains', if(startsWith(raw, '['), arrayExists(each -> text_of(each) = texts[1], JSONExtractArrayRaw(raw)),
                        position(text_of(raw), texts[1]) > 0),
    false) as holds,
  event = {refund:String} as is_refund,
  arrayFilter(line -> arrayAll((field, op, texts, numbers) -> holds(raw_of(line, field), op, texts, numbers),
      {line_fields:Array(String)}, {line_ops:Array(String)},
      {line_texts:Array(Array(String))}, {line_numbers:Array(Array(Float64))}),
    JSONExtractArrayRaw(properties, 'products')) as fits,
  line -> if(amount_of(raw_of(line, 'quantity')) > 0, amount_of(raw_of(line, 'quantity')), 1.) as pieces_of,
  multiIf(
    {field:String} = '', 0.,
    startsWith({field:String}, 'products.'),
      arraySum(line -> amount_of(raw_of(line, substring({field:String}, 10)))
                       * if({field:String} = 'products.price', pieces_of(line), 1.), fits),
    amount_of(raw_of(properties, {field:String}))) as named,
  multiIf(not is_refund or named != 0, named,
          {field:String} = 'total', amount_of(raw_of(properties, 'revenue')),
          {field:String} = 'revenue', amount_of(raw_of(properties, 'total')), 0.) as found
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
  and arrayAll((field, op, texts, numbers) -> holds(raw_of(properties, field), op, texts, numbers),
      {fields:Array(String)}, {ops:Array(String)}, {texts:Array(Array(String))}, {numbers:Array(Array(Float64))})
  and (empty({line_fields:Array(String)}) or notEmpty(fits))
