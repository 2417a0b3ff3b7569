-- One row is one answer of a visitor, in order of visitor and time, its signals and site named by their hash in
-- consent_texts. Asked by ConsentStore as RowBinary when it opens, for a slice of visitors at a time: the key's order,
-- so that nothing is sorted but rows of one visitor. Size: the rows of one million visitors.
select
  visitor,
  sipHash64Keyed(({key_high:UInt64}, {key_low:UInt64}), signals) as said,
  sipHash64Keyed(({key_high:UInt64}, {key_low:UInt64}), site) as site
from consents
where visitor >= {first:UInt32} and visitor <= {last:UInt32}
order by visitor, received_at, chunk, row
