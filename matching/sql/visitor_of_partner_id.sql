-- One row: the visitor for whom a partner's id was stored last, in any id space; none when nobody has it.
-- Called by PartnerIdsStore.visitor_of for the identity card; scans the table.
select argMax(visitor, (received_at, chunk, row)) from partner_ids
where id = {id:String} and action = 'stored' and visitor != 0
having count() > 0
