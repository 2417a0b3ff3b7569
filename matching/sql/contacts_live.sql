-- One row per customer and hashed contact of one id space that the CRM says today, by id, then customer.
-- Called by ContactIdsStore.live for a seat; expected: up to every customer, or a few of each.
select visitor, argMax(id_ordinal, (received_at, chunk, row)) as id_ordinal, id from partner_ids
where source = 'crm' and id_space = {id_space:String} and visitor between {first:UInt32} and {last:UInt32}
group by visitor, id
having argMax(action, (received_at, chunk, row)) = 'stored'
order by id, visitor
