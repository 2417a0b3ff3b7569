-- One row per build of the audience, newest first, without its members. Asked by AudienceStore; at most `limit` rows.
select audience, build, version, identity, toUnixTimestamp64Milli(at), status, detail, size
from builds
where audience = {audience:String}
order by build desc
limit {limit:UInt32}
