-- One row per partner, calendar day and family of browsers with offers since a time: offers, and those of them that
-- were answered with an id.
-- Called by PartnerAnswersStore.days for the health of partners; expected: partners x days x eight families.
select partner, toDate(received_at, {time_zone:String}) as day, browser, count() as offered,
  countIf(nonce in (
    select nonce from partner_ids
    where action = 'stored' and nonce != 0 and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
  )) as returned
from partner_ids
where action = 'offered' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
group by partner, day, browser
order by partner, day, browser
