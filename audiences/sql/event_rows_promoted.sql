-- The rows of `event_rows` that meet conditions, read from the promoted columns alone: for conditions that a missing
-- value and an empty one (0, '') answer alike; `event_rows_where` answers all others. All conditions on lines must hold
-- for one line, and amounts of lines are those of the lines that fit. Up to millions of rows of 43 bytes (RowBinary).
-- Why `if` and not `multiIf`: with constant conditions only the chosen branch is read and run.
with
  (op, texts, numbers, text, number) ->
    if(op in ('is', 'in', 'is_not'), has(texts, text) or if(empty(numbers), 0, has(numbers, number)),
    if(op = 'at_least', if(empty(numbers), text >= texts[1], number >= numbers[1]),
    if(op = 'at_most', if(empty(numbers), text <= texts[1], number <= numbers[1]),
    if(op = 'between', if(empty(numbers), text between texts[1] and texts[2],
                          number between numbers[1] and numbers[2]),
    position(text, texts[1]) > 0)))) as passes,
  (op, texts, numbers, text) -> if(op = 'is_not',
    not passes(op, texts, numbers, text, ifNull(toFloat64OrNull(text), nan)),
    text != '' and passes(op, texts, numbers, text, ifNull(toFloat64OrNull(text), nan))) as text_passes,
  (field, op, texts, numbers) ->
    if(field = 'url', text_passes(op, texts, numbers, url),
       passes(op, texts, numbers, '', if(field = 'total', total, revenue))) as column_passes,
  (field, op, texts, numbers) ->
    if(field in ('price', 'quantity'),
       arrayMap(number -> passes(op, texts, numbers, '', number),
                if(field = 'price', products.price, products.quantity)),
       arrayMap(text -> text_passes(op, texts, numbers, text),
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
               ({line_texts:Array(Array(String))})[n], ({line_numbers:Array(Array(Float64))})[n])) as lines_hold,
  if(tests < 2, lines_hold(1),
    arrayMap((a, b, c, d) -> a and b and c and d, lines_hold(1), lines_hold(2), lines_hold(3), lines_hold(4))) as fits,
  event = {refund:String} as is_refund,
  if({field:String} = '', 0.,
  if({field:String} = 'total', if(is_refund and total = 0, revenue, total),
  if({field:String} = 'revenue', if(is_refund and revenue = 0, total, revenue),
  if({field:String} = 'products.quantity',
     arraySum((fit, quantity) -> if(fit, quantity, 0.), fits, products.quantity),
     arraySum((fit, price, quantity) -> if(fit, price * if(quantity > 0, quantity, 1.), 0.),
              fits, products.price, products.quantity))))) as found
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
  and if(tests = 0, true, has(fits, true))
