-- One row per name and form that a source gave these customers, as it stands now.
-- Called by CrmRowsStore for the customers whose row of a file changed; expected: a dozen for each.
select customer, toString(kind) as kind, slot, value from customers final
where source = {source:String} and customer between {first:UInt32} and {last:UInt32}
  and customer in {customers:Array(UInt32)}
  and kind not in ('crm_id', 'erased', 'opt_in', 'ad_user_data', 'ad_personalization')
union all
select customer, toString(kind) as kind, slot, value from contact_forms final
where source = {source:String} and customer between {first:UInt32} and {last:UInt32}
  and customer in {customers:Array(UInt32)}
