-- One row per message received since a moment, in chunks before one: its hash. The loader refuses repeats with them; one
-- week of messages (RowBinary).
select message_hash
from events
where received_at >= fromUnixTimestamp64Milli({since_ms:Int64}, 'UTC') and chunk < {chunk:UInt64} and message_hash != 0
