-- One row per version of an audience's definition (JSON); the newest version stands, `deleted` ends it.
create table audiences (
  key String,
  version UInt32,
  definition String,
  deleted UInt8,
  at DateTime64(3, 'UTC')
) engine = MergeTree order by (key, version)
