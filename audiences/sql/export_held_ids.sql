-- One row per seat, segment and day: those of the given ids that the seat holds. Called by the export store for the
-- identity card and for erasure, with the few ids of one person.
select
  seat,
  segment,
  sent_on,
  bitmapToArray(bitmapAnd(ids, bitmapBuild({ids:Array(UInt32)}))) as found
from ledger
where kind = 'held'
  and (seat, run) in (select seat, max(run) from exports where status = 'published' group by seat)
  and bitmapHasAny(ids, bitmapBuild({ids:Array(UInt32)}))
order by seat, segment, sent_on
