-- One bitmap state: the visitors with an event that was flagged as a bot's.
select groupBitmapState(visitor) from events where bitAnd(flags, 2) != 0 and visitor != 0
