-- One row per audience: its newest build that succeeded, with the members as a bitmap state (RowBinary). Asked by
-- BitmapStore at start; up to some thousand rows.
select audience, build, version, identity, toUnixTimestamp64Milli(at), status, detail, size, members
from builds
where (audience, build) in (select audience, max(build) from builds where status = 'ok' group by audience)
order by audience
