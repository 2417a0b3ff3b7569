-- One row per change of an activation: an audience on a seat with the partner's segment, lifetime and control group.
create table activations (
  seat String,
  audience String,
  segment String,
  expires_days UInt16,
  holdout_percent UInt8,
  active UInt8,
  at DateTime64(6, 'UTC')
) engine = MergeTree order by (seat, audience, at)
