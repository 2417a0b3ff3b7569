-- Takes away what no later run reads: states before the newest published one, and frozen removals that were sent, whose
-- ids are personal. Called by the export store after a publication.
delete from ledger
where seat = {seat:String}
  and (
    (kind = 'held' and run < {published:UInt64})
    or (
      kind = 'removal'
      and removal in (
        select arrayJoin(removals) from exports where seat = {seat:String} and status = 'published'
      )
    )
  )
