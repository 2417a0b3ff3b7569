-- One row per bad record that was not tried again, oldest first. Called by `jumelle bad replay`; at most {limit}.
select chunk, row, toUnixTimestamp64Milli(received_at), reason, detail, hex(bytes), 0
from bad_records
where concat(toString(chunk), ':', toString(row)) not in (select origin from bad_replays)
order by chunk, row limit {limit:UInt32}
