-- One row per frozen removal of a seat that no published run has sent. Called by the export store once in each export;
-- as many rows as people were erased since.
select removal, segment, removals
from ledger
where seat = {seat:String}
  and kind = 'removal'
  and removal not in (
    select arrayJoin(removals) from exports where seat = {seat:String} and status = 'published'
  )
order by at, removal
