-- One row per trait, holder and source of these customers and visitors, by trait, the newest first.
-- Called by ThirdPartyStore.traits_of for cards and access requests; expected: dozens.
select trait, holder, toString(source), toString(kind), text, number, toUnixTimestamp64Milli(at)
from third_party_traits final
where holder in {holders:Array(UInt32)} and kind != ''
order by trait, at desc, source, holder
