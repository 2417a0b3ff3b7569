-- One row per contact hash of a customer that the table of correspondence does not hold yet.
-- Called by ContactIdsStore.complete after imports; expected: the new customers of an import.
select customer, toString(kind), value from customers final
where kind in ('email', 'phone') and (customer, value) not in (
  select visitor, id from partner_ids
  where source = 'crm' and action = 'stored' and visitor between 1 and {customer_last:UInt32}
)
order by customer, kind, value
