-- One row is one distinct pair of signals and site among visitors' newest consents, with those visitors as a bitmap.
-- Asked by ConsentStore for every bitmap of allowed visitors; rows are classes of consent (thousands), not visitors.
select signals, site, cast(groupBitmapState(visitor) as String) as visitors
from (
  select visitor, tupleElement(newest, 1) as signals, tupleElement(newest, 2) as site
  from (
    select visitor, argMax((signals, site), (received_at, chunk, row)) as newest
    from consents
    where visitor != 0
    group by visitor
  )
)
group by signals, site
order by signals, site
