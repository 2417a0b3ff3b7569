-- One row per change of an API key; only the key's SHA-256 is kept.
create table api_keys (
  id String,
  hash String,
  name String,
  scopes Array(String),
  sites Array(String),
  revoked UInt8,
  at DateTime64(6, 'UTC')
) engine = MergeTree order by (id, at)
