-- One row per visitor that carries one of these ids live, of each id at most `limit` rows: ordinal of the id, visitor.
-- Called by IdStatesStore.carriers for the identity card, with the few ids that several visitors may carry.
select id_ordinal, visitor from (
  select visitor, id_ordinal, action, received_at from partner_ids
  where id_space = {id_space:String} and action in ('stored', 'deleted')
    and received_at <= fromUnixTimestamp64Milli({as_of_ms:Int64})
    and visitor in (
      select visitor from partner_ids
      where id_space = {id_space:String} and id in {ids:Array(String)} and action = 'stored'
        and visitor >= {first:UInt32}
    )
  order by visitor, received_at desc, chunk desc, row desc
  limit 1 by visitor
)
where action = 'stored' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
  and id_ordinal in {ordinals:Array(UInt32)}
order by id_ordinal, visitor
limit {limit:UInt32} by id_ordinal
