-- One row per id and visitor whose id in this space it is now: the newest one, and not deleted since.
-- Called by KnownNamesStore.visitors_of; expected: few visitors for each id that was asked for.
select id, visitor from (
  select visitor, id, action from partner_ids
  where id_space = {id_space:String} and action in ('stored', 'deleted') and visitor in (
    select visitor from partner_ids
    where id_space = {id_space:String} and id in {ids:Array(String)} and action = 'stored'
      and visitor >= {first:UInt32}
  )
  order by visitor, received_at desc, chunk desc, row desc
  limit 1 by visitor
)
where action = 'stored' and id in {ids:Array(String)}
order by id, visitor
