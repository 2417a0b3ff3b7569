-- One row per identification of these visitors, in no order; `code` as in identification_rows.sql.
-- Called by IdentificationLog.of; expected: a few rows for each of at most 10,000 visitors.
select visitor, customer, at,
  toUInt8(transform(method, {methods:Array(String)}, {codes:Array(UInt8)}, toUInt8(15)) + 16 * claimed) as code,
  proof, chunk, row
from identifications
where visitor in {visitors:Array(UInt32)}
