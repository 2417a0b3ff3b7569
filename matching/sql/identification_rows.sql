-- One row per identification, in no order; `code` is the method's code, 15 when unknown, plus 16 when claimed.
-- Called by IdentificationLog.everything; expected: the whole log, 25 bytes a row.
select visitor, customer, at,
  toUInt8(transform(method, {methods:Array(String)}, {codes:Array(UInt8)}, toUInt8(15)) + 16 * claimed) as code,
  proof
from identifications
