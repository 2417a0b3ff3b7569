-- About how many rows of the main table have one of these names, or any where none is given: as its key tells, without
-- reading rows. One row: database, table, parts, rows, marks; none for a table without rows.
explain estimate
select event from events where empty({events:Array(String)}) or event in {events:Array(String)}
