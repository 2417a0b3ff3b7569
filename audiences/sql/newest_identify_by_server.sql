-- One row: how often a server identified this customer at this visitor's browser, and when last; 4 is the server's flag.
-- Asked by SessionStore for what a browser may be told after a logout.
select count(), toUnixTimestamp64Milli(max(at))
from events_by_visitor
where owner = {visitor:UInt32} and event = 'identify' and customer = {customer:UInt32} and bitAnd(flags, 4) != 0
