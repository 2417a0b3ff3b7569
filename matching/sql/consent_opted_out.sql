-- One row: a bitmap of the visitors of whom any row holds an opt-out, which stands for ever.
-- Asked by ConsentStore when the loader opens; the signals are read once per distinct text of a part.
select cast(groupBitmapState(visitor) as String) as visitors
from consents
where visitor != 0 and JSONExtractBool(signals, 'opted_out')
