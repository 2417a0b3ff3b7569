-- One row per id since a time, in chunks before this one, that came before its offer and still waits for it.
-- Called by PartnerIdsStore.waiting at start; expected: nearly none.
select nonce, partner, id, toUnixTimestamp64Milli(received_at) as came_ms from partner_ids
where action = 'waiting' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
  and chunk < {chunk:UInt64}
  and nonce not in (
    select nonce from partner_ids
    where action = 'offered' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
      and chunk < {chunk:UInt64}
  )
order by chunk, row
