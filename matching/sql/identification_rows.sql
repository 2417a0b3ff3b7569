-- One row per identification, by visitor and time; the method as its code, 255 when unknown.
-- Called by PeopleStore.refresh; expected: the whole log, 38 bytes a row.
select visitor, customer, toInt64(toUnixTimestamp64Milli(at)),
  transform(toString(method), {methods:Array(String)}, {codes:Array(UInt8)}, toUInt8(255)),
  claimed, chunk, row, proof
from identifications
order by visitor, at, chunk, row
