-- One row per partner, calendar day, family of browsers, action and reason since a time: how many offers, refusals or
-- answers with an id that was stored, and the moment of the last.
-- Called by PartnerAnswersStore.read; expected: partners x days x families x a few.
-- Why in this shape: the projection `answers` of the table then gives the counts.
select partner, toDate(moment, {time_zone:String}) as day, browser, toString(action), reason, sum(counted),
  toUnixTimestamp64Milli(max(last_at))
from (
  select partner, toStartOfFiveMinutes(received_at) as moment, browser, action, reason, nonce != 0 as answers,
    count() as counted, max(received_at) as last_at
  from partner_ids
  where moment >= toStartOfFiveMinutes(fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')) and partner != ''
    and action in ('offered', 'stored', 'refused') and (action != 'stored' or answers)
  group by partner, moment, browser, action, reason, answers
)
group by partner, day, browser, action, reason
order by partner, day, browser, action, reason
