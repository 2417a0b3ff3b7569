-- One row per identification of these visitors, newest first.
-- Called by PersonRowsStore and IdentificationLog for the card; expected: dozens, thousands for a shared device.
select visitor, customer, toUnixTimestamp64Milli(at), toString(method), claimed, chunk, row, proof, site
from identifications
where visitor in {visitors:Array(UInt32)}
order by at desc, chunk desc, row desc
