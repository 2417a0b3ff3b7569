-- One row is one distinct text of signals, or one site, with the hash by which consent_rows names it. Asked by
-- ConsentStore before it reads all rows; the key is its own, so that nobody can make two texts of one hash.
-- Size: as many as different signals were ever sent, thousands.
select sipHash64Keyed(({key_high:UInt64}, {key_low:UInt64}), text) as hash, text
from (
  select distinct signals as text from consents
  union distinct
  select distinct site as text from consents
)
