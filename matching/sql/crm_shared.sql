-- One row per kind of contact that several customers share: how many such contacts, and of how many customers.
-- Called by CrmRowsStore at the end of an import; expected: at most two.
select toString(kind), count(), sum(holders) from (
  select kind, uniqExact(customer) as holders from customers final
  where kind in ('email', 'phone') and value != ''
  group by kind, sipHash64(value)
  having holders > 1
)
group by kind
order by kind
settings max_bytes_before_external_group_by = 200000000
