-- One row: how many events of this name the owner has, and when the newest was. For what a browser may be told.
select count(), toUnixTimestamp64Milli(max(at))
from events_by_visitor
where owner = {owner:UInt32} and event = {event:String}
