-- One row per partner with anything since a time: offers, distinct offers answered with an id, the last answer.
-- Called by PartnerAnswersStore.health; expected: one row a partner.
select partner, countIf(action = 'offered'), uniqExactIf(nonce, action = 'stored' and nonce != 0),
  toUnixTimestamp64Milli(maxIf(received_at, action = 'stored' and nonce != 0))
from partner_ids
where received_at >= fromUnixTimestamp64Milli({since_ms:Int64}) and partner != ''
group by partner
order by partner
