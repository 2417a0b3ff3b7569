-- One bitmap state: the customers and visitors of whom some source says something of the trait that passes; the test is
-- that of trait_holders.sql. Asked by ThirdPartyTraitStore.holders once per uncached trait criterion.
with
  multiIf(kind = 'number', toString(number), kind = 'boolean', if(number = 0, 'false', 'true'), text) as shown,
  {op:String} as op,
  {texts:Array(String)} as texts,
  {numbers:Array(Float64)} as numbers,
  (text, value) -> multiIf(
    op in ('is', 'in'), has(texts, text) or has(numbers, value),
    op = 'at_least', if(empty(numbers), text >= texts[1], value >= numbers[1]),
    op = 'at_most', if(empty(numbers), text <= texts[1], value <= numbers[1]),
    op = 'between', if(empty(numbers), text between texts[1] and texts[2], value between numbers[1] and numbers[2]),
    op = 'contains', if(kind = 'set', text = texts[1], position(text, texts[1]) > 0),
    false) as passes,
  text -> if(isFinite(toFloat64OrNull(text)), toFloat64OrNull(text), nan) as number_of
select groupBitmapState(holder)
from third_party_traits final
where trait = {trait:String} and kind != '' and multiIf(
  op = 'exists', true,
  kind = 'set', arrayExists(member -> passes(member, ifNull(number_of(member), nan)), JSONExtract(text, 'Array(String)')),
  passes(shown, if(kind = 'number', number, ifNull(number_of(shown), nan))))
