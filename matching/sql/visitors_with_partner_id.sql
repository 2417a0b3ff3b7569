-- One row per visitor with a live id of one id space: the visitors of PartnerIdsStore.live, so without ids that too
-- many visitors carry.
-- Called by PartnerIdsStore.visitors_with; expected: up to every visitor that ever synced.
select visitor from (
  select visitor, count() over (partition by id_ordinal) as carried from (
    select visitor, id_ordinal, action, received_at from partner_ids
    where id_space = {id_space:String}
      and visitor between {first:UInt32} and {last:UInt32} and action in ('stored', 'deleted')
      and received_at <= fromUnixTimestamp64Milli({as_of_ms:Int64})
    order by visitor, received_at desc, chunk desc, row desc
    limit 1 by visitor
  )
  where action = 'stored' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
)
where carried <= {visitors_max:UInt32}
