-- One row per partner: its offers since its last answer, in the whole five minutes between that one's and those too
-- young to be answered: never too many.
-- Called by PartnerAnswersStore.read; expected: one row a partner.
select partner, arraySum(arrayMap((at, offers) -> at > answered ? offers : 0, moments, counts)) from (
  select partner, maxIf(moment, action = 'stored' and answers) as answered,
    groupArrayIf(moment, settled) as moments, groupArrayIf(counted, settled) as counts
  from (
    select partner, toStartOfFiveMinutes(received_at) as moment, action, nonce != 0 as answers, count() as counted,
      action = 'offered' and moment < toStartOfFiveMinutes(fromUnixTimestamp64Milli({settled_ms:Int64}, 'UTC')) as settled
    from partner_ids
    where moment >= toStartOfFiveMinutes(fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC')) and partner != ''
    group by partner, moment, action, answers
  )
  group by partner
)
