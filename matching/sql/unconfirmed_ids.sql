-- One row per visitor and id that came without a token of ours since a time, in chunks before this one: the newest
-- moment.
-- Called by PartnerIdsStore.unconfirmed at start; expected: the visitors of partners that carry no token.
select visitor, id_ordinal, max(toUnixTimestamp64Milli(received_at)) from partner_ids
where action = 'refused' and reason = 'unconfirmed' and chunk < {chunk:UInt64}
  and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
group by visitor, id_ordinal
