-- About how many events of this name there are on these days: as the key tells, without reading rows. One row: database,
-- table, parts, rows, marks; none for a table without rows.
explain estimate
select event from events where event = {event:String} and day between {first:Date} and {last:Date}
