-- One row per partner with ids that too many visitors carry: how many visitors these are.
-- Called by PartnerIdsStore.health; expected: one row a partner at most.
select partner, count() from (
  select partner, count() over (partition by id_ordinal) as carried from (
    select partner, id_ordinal, action from partner_ids
    where action in ('stored', 'deleted') and visitor != 0
      and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
    order by id_space, visitor, received_at desc, chunk desc, row desc
    limit 1 by id_space, visitor
  )
  where action = 'stored'
)
where carried > {visitors_max:UInt32}
group by partner
order by partner
