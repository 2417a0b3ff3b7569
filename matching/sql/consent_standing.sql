-- One row is the history of one of these visitors: each text once, newest first, and the site of the newest; `skip` leaves
-- so many of its newest rows out, `before_chunk` those of that chunk and later ones. Asked by ConsentStore for the
-- identity card, for what a browser may be told, for visitors of whom something changed, and before an id is kept that
-- came back. Size: these visitors, at most 10,000.
select visitor, arrayDistinct(tupleElement(told, 4)) as history, tupleElement(told[1], 5) as site
from (
  select
    visitor,
    arraySlice(
      arrayReverseSort(groupArray((received_at, chunk, row, signals, site))), {skip:UInt32} + 1
    ) as told
  from consents
  where visitor in {visitors:Array(UInt32)} and chunk < {before_chunk:UInt64}
  group by visitor
)
where notEmpty(told)
