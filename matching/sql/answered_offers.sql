-- One row per nonce for which an id was stored, or waits to be confirmed, since a time, in chunks before this one.
-- Called by PartnerIdsStore.answered at start; expected: the answers of an hour.
select nonce, max(toUnixTimestamp64Milli(received_at)) from partner_ids
where (action = 'stored' or reason = 'unconfirmed') and nonce != 0 and chunk < {chunk:UInt64}
  and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
group by nonce
