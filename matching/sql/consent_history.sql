-- One row is one change of one visitor's consent, newest first; asked by ConsentStore for the identity card.
-- Size: as often as this visitor's consent changed, at most `limit` rows.
select toUnixTimestamp64Milli(received_at) as received_at_ms, signals, site
from consents
where visitor = {visitor:UInt32}
order by received_at desc, chunk desc, row desc
limit {limit:UInt32}
