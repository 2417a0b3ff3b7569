-- One row is one distinct history of signals with its newest site, and the visitors who have it as a bitmap.
-- Asked by ConsentStore for every bitmap of allowed visitors; rows are histories (thousands), not visitors. A history
-- holds each text once, where it was said last, newest first: what it says together is folded outside.
select history, site, cast(groupBitmapState(visitor) as String) as visitors
from (
  select visitor, arrayDistinct(tupleElement(told, 4)) as history, tupleElement(told[1], 5) as site
  from (
    select visitor, arrayReverseSort(groupArray((received_at, chunk, row, signals, site))) as told
    from consents
    where visitor != 0
    group by visitor
  )
)
group by history, site
order by history, site
