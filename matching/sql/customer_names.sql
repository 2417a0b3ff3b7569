-- One row per kind and value of one customer's names, with its newest source and time.
-- Called by CustomerStore.names; expected: a handful.
select kind, stands as value, argMax(source, since) as source, toUnixTimestamp64Milli(max(since)) as seen_ms from (
  select kind, source, argMax(value, at) as stands, max(at) as since from customers
  where customer = {customer:UInt32} and kind not in ('crm_id', 'erased', 'ad_user_data', 'ad_personalization')
  group by kind, source, slot
)
where stands != '' or kind = 'opt_in'
group by kind, value
order by kind, seen_ms desc, value
