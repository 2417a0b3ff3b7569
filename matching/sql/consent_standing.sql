-- One row, or none, is one visitor's history as in consent_classes: each text once, newest first, and the newest site.
-- Asked by ConsentStore for the identity card and for what a browser may be told.
select arrayDistinct(tupleElement(told, 4)) as history, tupleElement(told[1], 5) as site
from (
  select arrayReverseSort(groupArray((received_at, chunk, row, signals, site))) as told
  from consents
  where visitor = {visitor:UInt32}
  group by visitor
)
