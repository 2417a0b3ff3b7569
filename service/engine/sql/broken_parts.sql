-- One row per part that could not be read when its table was loaded: its table, its name, how often it was merged (0: it
-- came of an insert), and whether parts that it was merged from stand at both of its ends.
select broken.table, broken.name, toUInt32(broken.level),
  has(groupArray(active.min_block_number), broken.min_block_number)
  and has(groupArray(active.max_block_number), broken.max_block_number)
from system.detached_parts as broken
left join (
  select table, partition_id, toInt64(min_block_number) as min_block_number, toInt64(max_block_number) as max_block_number
  from system.parts where database = currentDatabase() and active
) as active on active.table = broken.table and active.partition_id = broken.partition_id
where broken.database = currentDatabase() and broken.reason = 'broken-on-start'
group by broken.table, broken.name, broken.level, broken.min_block_number, broken.max_block_number
order by broken.table, broken.name
