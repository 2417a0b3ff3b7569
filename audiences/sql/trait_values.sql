-- One row per value of the trait, the most frequent first: the value as text and, as a bitmap state, the customers that
-- have it. For breakdowns; at most `limit` rows (RowBinary).
select if(text = '' and kind != 'text', toString(number), text) as shown, groupBitmapState(customer)
from customer_traits final
where trait = {trait:String} and kind != ''
group by shown
order by count() desc, shown
limit {limit:UInt32}
