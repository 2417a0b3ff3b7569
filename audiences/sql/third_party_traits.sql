-- One row per trait: its most frequent kind, of how many it is said, about how many values there are, and who says it.
-- Asked by ThirdPartyTraitStore.traits for the catalogue.
select trait, topK(1)(toString(kind))[1], uniqExact(holder), uniq(text, number), arraySort(groupUniqArray(toString(source)))
from third_party_traits final
where kind != ''
group by trait
order by trait
