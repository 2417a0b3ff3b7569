-- One bitmap state: the customers whose newest value of the trait passes; a set passes if one of its members does. Asked
-- by TraitStore.holders once per uncached trait criterion.
with
  multiIf(kind = 'number', toString(number), kind = 'boolean', if(number = 0, 'false', 'true'), text) as shown,
  if(kind = 'set', JSONExtract(text, 'Array(String)'), [shown]) as members,
  if(kind = 'number', number, ifNull(toFloat64OrNull(shown), nan)) as value,
  {op:String} as op,
  {texts:Array(String)} as texts,
  {numbers:Array(Float64)} as numbers
select groupBitmapState(customer)
from customer_traits final
where trait = {trait:String} and kind != '' and multiIf(
  op in ('is', 'in'), hasAny(texts, members) or has(numbers, value),
  op = 'exists', true,
  op = 'at_least', if(empty(numbers), shown >= texts[1], value >= numbers[1]),
  op = 'at_most', if(empty(numbers), shown <= texts[1], value <= numbers[1]),
  op = 'between', if(empty(numbers), shown between texts[1] and texts[2], value between numbers[1] and numbers[2]),
  op = 'contains', if(kind = 'set', has(members, texts[1]), position(shown, texts[1]) > 0),
  false)
