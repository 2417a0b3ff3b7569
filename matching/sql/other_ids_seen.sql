-- One row per visitor and id that a message named since a time, in chunks before this one: the newest moment.
-- Called by PartnerIdsStore.other_ids_seen at start; expected: one or two rows a visitor of apps and logins.
select visitor, id_ordinal, max(toUnixTimestamp64Milli(received_at)) from partner_ids
where source = 'message' and action = 'stored' and chunk < {chunk:UInt64}
  and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
group by visitor, id_ordinal
