-- One row per partner with offers since its last answer, those too young to be answered left out: how many.
-- Called by PartnerAnswersStore.health; expected: one row a partner at most.
select partner, count() from partner_ids as offers
left join (
  select partner, maxIf(received_at, action = 'stored' and nonce != 0) as answered_at from partner_ids
  where received_at >= fromUnixTimestamp64Milli({since_ms:Int64}) group by partner
) as answers using partner
where offers.action = 'offered' and offers.received_at > answers.answered_at
  and offers.received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
  and offers.received_at <= fromUnixTimestamp64Milli({settled_ms:Int64})
group by partner
order by partner
