-- One row per identification of these visitors, and of all visitors ever named as these customers.
-- Called by PeopleStore.links_of for the card; expected: dozens, thousands for a shared device.
select visitor, customer, toUnixTimestamp64Milli(at), toString(method), claimed, chunk, row, site
from identifications
where visitor in {visitors:Array(UInt32)}
  or visitor in (
    select visitor from identifications where customer in {customers:Array(UInt32)}
  )
order by at desc, chunk desc, row desc
