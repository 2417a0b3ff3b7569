-- Nothing of people stays in the table between two ticks.
truncate table if exists touched_owners
