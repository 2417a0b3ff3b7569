-- One row per trait of one customer, for card and access; tens of rows.
select trait, kind, text, number
from customer_traits final
where customer = {customer:UInt32} and kind != ''
order by trait
