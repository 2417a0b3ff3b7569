-- One row per event name that is among those asked for and has ever come, on any day; a point read by the first column
-- of the key. Asked by EventStore.known, for names that it has not seen yet.
select event from events where event in {events:Array(String)} limit 1 by event
