-- One row per partner with anything since a time: offers, distinct offers answered with an id, refusals.
-- Called by PartnerIdsStore.health; expected: one row a partner.
select partner, countIf(action = 'offered'), uniqExactIf(nonce, action = 'stored' and nonce != 0),
  countIf(action = 'refused'), toUnixTimestamp64Milli(maxIf(received_at, action = 'stored'))
from partner_ids
where received_at >= fromUnixTimestamp64Milli({since_ms:Int64}) and partner != ''
group by partner
order by partner
