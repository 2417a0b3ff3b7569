-- One row per kept build of these audiences, newest first: when it was, and whether it holds any of some people. Builds
-- are kept when members came or went; those of large audiences are left out, their bitmaps are long to read.
-- Called by MembershipStore for the identity card; expected: at most `limit` rows an audience.
select audience, toUnixTimestamp64Milli(at) as at_ms, bitmapHasAny(members, bitmapBuild({persons:Array(UInt32)})) as holds
from builds
where audience in {audiences:Array(String)} and status = 'ok' and size <= {size_max:UInt64}
order by audience, build desc
limit {limit:UInt32} by audience
