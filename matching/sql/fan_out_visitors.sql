-- One row per partner with ids that too many visitors carry: the reason's name and how many visitors these are.
-- Called by PartnerAnswersStore.health; expected: one row a partner at most.
-- Why candidates first: an id that many carry was stored often, and such ids are few.
select partner, 'fan_out', count() from (
  select partner, count() over (partition by id_ordinal) as carried from (
    select partner, id_ordinal, action from partner_ids
    where action in ('stored', 'deleted') and visitor >= {first:UInt32}
      and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
      and (id_space, visitor) in (
        select id_space, visitor from partner_ids
        where action = 'stored' and id_ordinal in (
          select id_ordinal from partner_ids
          where action = 'stored' and visitor >= {first:UInt32}
            and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
          group by id_ordinal having count() > {visitors_max:UInt32}
        )
      )
    order by id_space, visitor, received_at desc, chunk desc, row desc
    limit 1 by id_space, visitor
  )
  where action = 'stored'
)
where carried > {visitors_max:UInt32}
group by partner
order by partner
