-- One row: the numbers that cut the customers with this trait in fifths. Asked by TokenStore.edges once per trait, so that
-- lookalikes know people by bins and not by single numbers.
select quantilesExact(0.2, 0.4, 0.6, 0.8)(number)
from customer_traits final
where trait = {trait:String} and kind = 'number' and isFinite(number)
having count() > 0
