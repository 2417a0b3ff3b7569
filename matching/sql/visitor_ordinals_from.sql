-- One row per visitor ordinal at or above one that is in doubt.
-- Called by CustomerStore after an insert whose answer was lost; expected: one chunk's new visitors.
select distinct ordinal from visitors where ordinal >= {first:UInt32}
