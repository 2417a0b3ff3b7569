-- One row: how many identifications there are, answered from the parts' headers.
-- Called by PeopleStore.refresh before it reads the log.
select count() from identifications
