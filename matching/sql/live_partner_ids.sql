-- One row per visitor with a live id of one id space: its newest, stored, not deleted, not expired. Customers whose
-- contacts are ids have ordinals below those of visitors.
-- Called by PartnerIdsStore.live; expected: up to every visitor that ever synced.
select visitor, id_ordinal, id from (
  select visitor, id_ordinal, id, action, received_at from partner_ids
  where id_space = {id_space:String}
    and visitor between {first:UInt32} and {last:UInt32} and action in ('stored', 'deleted')
    and received_at <= fromUnixTimestamp64Milli({as_of_ms:Int64})
  order by visitor, received_at desc, chunk desc, row desc
  limit 1 by visitor
)
where action = 'stored' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
order by id, visitor
