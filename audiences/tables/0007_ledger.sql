-- What a seat holds after a run: per segment and day of last sending, the ordinals of the ids. Rows of a run count only
-- once `exports` says that the run was published. kind 'removal' freezes ids of the erased that a seat must still drop:
-- run 0, named by the random number `removal` until a published run names it too.
create table ledger (
  seat String,
  run UInt64,
  kind Enum8('held' = 1, 'removal' = 2),
  segment String,
  sent_on Date,
  expires_days UInt16,
  ids AggregateFunction(groupBitmap, UInt32),
  removal UInt64,
  removals Array(Tuple(id_space String, id String, id_ordinal UInt32)),
  at DateTime64(6, 'UTC')
) engine = MergeTree order by (seat, run, segment, sent_on)
