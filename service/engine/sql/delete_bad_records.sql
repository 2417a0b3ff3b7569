-- Deletes bad records (CHUNK:ROW) for good; waits until the parts are rewritten.
alter table bad_records delete
where concat(toString(chunk), ':', toString(row)) in {origins:Array(String)}
settings mutations_sync = 2
