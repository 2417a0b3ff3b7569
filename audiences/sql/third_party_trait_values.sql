-- One row per value of the trait, the most frequent first: the value as text and, as a bitmap state, the customers and
-- visitors of whom it is said; a set counts once per member. Asked by ThirdPartyTraitStore.values for breakdowns; at
-- most `limit` rows (RowBinary).
select
  arrayJoin(if(kind = 'set', JSONExtract(text, 'Array(String)'),
    [multiIf(kind = 'number', toString(number), kind = 'boolean', if(number = 0, 'false', 'true'), text)])) as shown,
  groupBitmapState(holder)
from third_party_traits final
where trait = {trait:String} and kind != ''
group by shown
order by count() desc, shown
limit {limit:UInt32}
