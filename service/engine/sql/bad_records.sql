-- One row per bad record, newest first. Called by `jumelle bad list`; at most {limit}.
select chunk, row, toString(received_at) as received_at, reason, detail, bytes
from bad_records order by received_at desc, chunk desc, row limit {limit:UInt32}
