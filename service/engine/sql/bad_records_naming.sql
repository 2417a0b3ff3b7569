-- One row per bad record whose bytes hold one of these texts (in hex). Called when a person is erased; few rows.
select concat(toString(chunk), ':', toString(row)), hex(bytes)
from bad_records
where arrayExists(each -> position(bytes, unhex(each)) > 0, {needles:Array(String)})
order by chunk, row
