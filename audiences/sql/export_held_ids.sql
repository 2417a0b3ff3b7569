-- One row per seat, segment and day: those of the given ids that the seat holds, or will once a run that was cut short
-- is settled. Called by the export store for the identity card and for erasure, with the few ids of one person.
select
  seat,
  segment,
  sent_on,
  bitmapToArray(bitmapAnd(ids, bitmapBuild({ids:Array(UInt32)}))) as found
from ledger
left join (
  select seat, max(run) as published from exports where status = 'published' group by seat
) as newest using seat
where kind = 'held'
  and run >= published
  and (seat, run) in (select seat, run from exports where status in ('published', 'prepared'))
  and bitmapHasAny(ids, bitmapBuild({ids:Array(UInt32)}))
order by seat, segment, sent_on
