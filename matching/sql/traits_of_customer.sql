-- One row per trait that one customer has. Called by CustomerStore.traits_of; expected: dozens.
select trait, kind, text, number from customer_traits final
where customer = {customer:UInt32} and kind != ''
order by trait
