-- One row per kind and value of one customer's names, with its newest source and time.
-- Called by CustomerStore.names; expected: a handful.
select kind, value, argMax(source, at), toUnixTimestamp64Milli(max(at)) as seen_ms
from customers
where customer = {customer:UInt32} and kind not in ('crm_id', 'erased')
group by kind, value
order by kind, seen_ms desc, value
