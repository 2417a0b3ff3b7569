-- At most one row: the visitor who was last stored with this id, in this id space, or in any when it is empty.
-- Called for the identity card and privacy acts.
select visitor from partner_ids
where id = {id:String} and action = 'stored' and visitor >= {first:UInt32}
  and ({id_space:String} = '' or id_space = {id_space:String})
order by received_at desc, chunk desc, row desc limit 1
