-- One row per visitor on whose browser something was done in the name of these customers; 0 is nobody. Asked by
-- EventStore.erase before it deletes those events. Size: the browsers of a few people (RowBinary).
select distinct visitor from events_by_visitor where owner in {owners:Array(UInt32)}
