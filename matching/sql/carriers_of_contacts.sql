-- One row per customer of whom the CRM says one of these contacts today, of each contact at most `limit` rows: ordinal
-- of the contact, customer. Called by ContactIdsStore.carriers for the identity card, with one person's contacts.
select id_ordinal, visitor from partner_ids
where source = 'crm' and id_space = {id_space:String} and id in {ids:Array(String)}
  and visitor between {first:UInt32} and {last:UInt32}
group by visitor, id_ordinal
having argMax(action, (received_at, chunk, row)) = 'stored'
order by id_ordinal, visitor
limit {limit:UInt32} by id_ordinal
