-- One row per identification of these visitors, of all visitors ever named as these customers, and of those who came
-- by the same click links as these visitors, on whom it depends which of them a link may link.
-- Called by PeopleStore.links_of for the card; expected: dozens, thousands for a shared device.
select visitor, customer, toUnixTimestamp64Milli(at), toString(method), claimed, chunk, row, proof, site
from identifications
where visitor in {visitors:Array(UInt32)}
  or visitor in (
    select visitor from identifications where customer in {customers:Array(UInt32)}
  )
  or visitor in (
    select visitor from identifications where proof != 0 and proof in (
      select proof from identifications where proof != 0 and visitor in {visitors:Array(UInt32)}
    )
  )
order by at desc, chunk desc, row desc
