-- One row: the highest visitor of whom there are consents, 0 for none; asked by ConsentStore before it reads all rows.
select max(visitor) from consents
