-- One row per family of browsers: visitors seen since {since}, how many came back on a later day, at what age of their
-- cookie and after what pause. The family is that of their last offer of a sync; '' where none was made.
-- Called by GET /api/cookies; at most ten rows. Visitors are grouped in the table's own order, so memory stays small.
with lives as (
  select owner, arraySort(groupUniqArray(toUInt16(toDate(at)))) as days
  from events_by_visitor
  where owner >= {first:UInt32} and received_at >= fromUnixTimestamp64Milli({since:Int64}) and bitAnd(flags, 6) = 0
    and ({site:String} = '' or site = {site:String})
  group by owner
), families as (
  select visitor, argMax(browser, received_at) as family
  from partner_ids
  where browser != '' and received_at >= fromUnixTimestamp64Milli({since:Int64})
  group by visitor
), judged as (
  select family, days[-1] - days[1] as age, arrayMax(arrayDifference(days)) as pause
  from lives left join families on families.visitor = lives.owner
)
select family as browser, count() as visitors, countIf(age > 0) as returned, countIf(age > 1) as over_1,
  countIf(age > 7) as over_7, countIf(age > 30) as over_30, countIf(pause > 7) as paused_7
from judged group by family order by visitors desc, browser
settings optimize_aggregation_in_order = 1
