-- One bitmap state: the customers whose newest value of the trait passes. Called once per uncached trait criterion.
with
  if(text = '' and kind != 'text', toString(number), text) as shown,
  if(kind in ('text', 'date', 'boolean'), ifNull(toFloat64OrNull(shown), nan), number) as value,
  {op:String} as op,
  {texts:Array(String)} as texts,
  {numbers:Array(Float64)} as numbers
select groupBitmapState(customer)
from customer_traits final
where trait = {trait:String} and kind != '' and multiIf(
  op in ('is', 'in'), has(texts, shown) or has(numbers, value),
  op = 'exists', true,
  op = 'at_least', if(empty(numbers), shown >= texts[1], value >= numbers[1]),
  op = 'at_most', if(empty(numbers), shown <= texts[1], value <= numbers[1]),
  op = 'between', if(empty(numbers), shown between texts[1] and texts[2], value between numbers[1] and numbers[2]),
  op = 'contains', position(shown, texts[1]) > 0,
  false)
