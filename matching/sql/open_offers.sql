-- One row per offer since a time, in chunks before this one, to which no id came yet that was stored or waits for
-- a second offer to bring it again.
-- Called by PartnerIdsStore.open_offers at start; expected: the offers of an hour.
select nonce, partner, visitor, toUnixTimestamp64Milli(received_at) as offered_ms, browser from partner_ids
where action = 'offered' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
  and chunk < {chunk:UInt64}
  and nonce not in (
    select nonce from partner_ids
    where (action = 'stored' or reason = 'unconfirmed') and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
      and chunk < {chunk:UInt64}
  )
order by offered_ms, nonce
