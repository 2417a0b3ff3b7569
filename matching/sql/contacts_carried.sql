-- One row per customer and hashed contact of one id space that the CRM says today, as ordinals.
-- Called by ContactIdsStore.carried to count whom a seat reaches; expected: up to every customer, or a few of each.
select visitor, id_ordinal from partner_ids
where source = 'crm' and id_space = {id_space:String} and visitor between {first:UInt32} and {last:UInt32}
group by visitor, id_ordinal
having argMax(action, (received_at, chunk, row)) = 'stored'
order by visitor, id_ordinal
