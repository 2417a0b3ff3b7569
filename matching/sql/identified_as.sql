-- One row per visitor who was ever named as this customer, rightly or not.
-- Called by PeopleStore.links_of for the card; expected: a handful.
select distinct visitor from identifications where customer = {customer:UInt32}
