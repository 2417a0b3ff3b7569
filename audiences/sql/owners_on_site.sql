-- One row per visitor and customer that did anything on the site; up to the number of visitors (Native).
select visitor, customer
from events
where site = {site:String} and day <= {last:Date} and bitAnd(flags, 2) = 0
group by visitor, customer
