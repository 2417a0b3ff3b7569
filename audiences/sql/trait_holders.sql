-- One bitmap state: those whose newest value of the trait passes; a set passes if one of its members does. Asked once per
-- uncached trait criterion: by TraitStore of customers, by ThirdPartyTraitStore of whomever some source says it.
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
select groupBitmapState({holder:Identifier})
from {source:Identifier} final
where trait = {trait:String} and kind != '' and multiIf(
  op = 'exists', true,
  kind = 'set', arrayExists(member -> passes(member, ifNull(number_of(member), nan)), JSONExtract(text, 'Array(String)')),
  passes(shown, if(kind = 'number', number, ifNull(number_of(shown), nan))))
