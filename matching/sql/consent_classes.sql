-- One row is one distinct history of signals with its newest site, and the visitors who have it as a bitmap; a history
-- may stand in two rows. Asked by ConsentStore for every bitmap of allowed visitors; rows are histories (thousands), not
-- visitors. A history names each text once, by its hash in consent_texts and where it was said last, newest first: what
-- it says together is folded outside. Those who spoke once, the most, need no history made.
select [hash] as history, site, cast(groupBitmapState(visitor) as String) as visitors
from (
  select visitor, any(sipHash64(signals)) as hash, any(site) as site
  from consents
  where visitor != 0
  group by visitor
  having count() = 1
)
group by hash, site
union all
select history, site, cast(groupBitmapState(visitor) as String) as visitors
from (
  select visitor, arrayDistinct(tupleElement(told, 4)) as history, tupleElement(told[1], 5) as site
  from (
    select visitor, arrayReverseSort(groupArray((received_at, chunk, row, sipHash64(signals), site))) as told
    from consents
    where visitor in (select visitor from consents where visitor != 0 group by visitor having count() > 1)
    group by visitor
  )
)
group by history, site
