-- One row is one distinct text of signals with the hash by which consent_classes names it; two texts of one hash fail.
-- Asked by ConsentStore together with it. Size: as many as different signals were ever sent, thousands.
select sipHash64(signals) as hash, throwIf(uniqExact(signals) > 1) = 0 ? any(toString(signals)) : '' as said
from consents
where visitor != 0
group by hash
