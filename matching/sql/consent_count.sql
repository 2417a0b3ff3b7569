-- One row: how many rows there are; asked by ConsentStore before each answer about everybody. Costs nothing: parts know.
select count() from consents
