-- At most one row: the visitor who was last stored with this id, in any id space. Called for the identity card.
select visitor from partner_ids where id = {id:String} and action = 'stored'
order by received_at desc, chunk desc, row desc limit 1
