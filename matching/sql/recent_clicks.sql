-- One row per visitor who lately came by a click link: the time of its newest click.
-- Called by PeopleStore.recent_clicks at start; expected: the clicks of half an hour.
select visitor, toUnixTimestamp64Milli(max(at)) from identifications
where method = 'click' and at >= fromUnixTimestamp64Milli({since_ms:Int64})
  and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
group by visitor
