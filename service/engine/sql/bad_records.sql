-- One row per bad record, newest first, with whether it was tried again. Called by `jumelle bad list`; at most {limit}.
select chunk, row, toUnixTimestamp64Milli(received_at), reason, detail, hex(bytes),
  concat(toString(chunk), ':', toString(row)) in (select origin from bad_replays)
from bad_records order by received_at desc, chunk desc, row limit {limit:UInt32}
