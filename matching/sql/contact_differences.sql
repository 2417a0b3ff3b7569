-- One row per contact of a customer that the table of correspondence lacks in one id space (1), or still holds (-1).
-- Of a contact's forms the first of `kinds` that there is stands; '-' says that there is none.
-- Called by ContactIdsStore.complete after imports, for a range of customers; expected: what the import changed.
select customer, value, sum(sign) as missing from (
  select distinct customer, argMin(value, place) as value, toInt8(1) as sign from (
    select customer, source, slot, value, indexOf({kinds:Array(String)}, toString(kind)) as place
    from contact_forms final
    where kind in {kinds:Array(String)} and customer between {first:UInt32} and {last:UInt32} and value != ''
    union all
    select customer, source, slot, value, indexOf({kinds:Array(String)}, toString(kind)) as place
    from customers final
    where kind in {kinds:Array(String)} and customer between {first:UInt32} and {last:UInt32} and value != ''
  )
  group by customer, source, slot
  having value != '-'
  union all
  select visitor, id, toInt8(-1) from partner_ids
  where source = 'crm' and id_space = {id_space:String} and visitor between {first:UInt32} and {last:UInt32}
  group by visitor, id
  having argMax(action, (received_at, chunk, row)) = 'stored'
)
group by customer, value
having missing != 0
order by missing, customer, value
