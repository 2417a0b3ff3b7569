-- One row per trait: its most frequent kind, how many customers have it, and about how many values there are.
select trait, topK(1)(kind)[1], count(), uniq(text, number)
from customer_traits final
where kind != ''
group by trait
order by trait
