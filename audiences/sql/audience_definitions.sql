-- One row per audience that is defined: its newest version. Asked by AudienceStore; up to some thousand rows.
select version, definition, toUnixTimestamp64Milli(at)
from (select * from audiences order by key, version desc, at desc limit 1 by key)
where deleted = 0
order by key
