-- One row per bad record (CHUNK:ROW) that was tried again, with the place it was loaded from then; gone after 31 days.
create table bad_replays (
  origin String,
  chunk UInt64,
  row UInt32,
  at DateTime64(3, 'UTC')
) engine = MergeTree order by origin
ttl toDateTime(at) + interval 31 day
