-- One row per change of consent of these visitors, newest first, of each visitor at most `limit`.
-- Called by PersonRowsStore for the card; expected: a few a visitor.
select visitor, toUnixTimestamp64Milli(received_at) as received_ms, signals, site
from consents
where visitor in {visitors:Array(UInt32)}
order by visitor, received_at desc, chunk desc, row desc
limit {limit:UInt32} by visitor
