-- One row per partner with ids, of those given, that too many visitors carry: how many visitors these are.
-- Called by PartnerAnswersStore.read with the ids that are suspect; expected: one row a partner at most.
select partner, count() from (
  select partner, count() over (partition by id_ordinal) as carried from (
    select partner, id_ordinal, action from partner_ids
    where action in ('stored', 'deleted') and visitor >= {first:UInt32}
      and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
      and (id_space, visitor) in (
        select id_space, visitor from partner_ids
        where action = 'stored' and id_ordinal in {ordinals:Array(UInt32)}
      )
    order by id_space, visitor, received_at desc, chunk desc, row desc
    limit 1 by id_space, visitor
  )
  where action = 'stored' and id_ordinal in {ordinals:Array(UInt32)}
)
where carried > {visitors_max:UInt32}
group by partner
order by partner
