-- One row per change of a seat's hold: why only removals go to the seat; an empty reason lifts it.
create table seat_holds (
  seat String,
  reason String,
  at DateTime64(6, 'UTC')
) engine = MergeTree order by (seat, at)
