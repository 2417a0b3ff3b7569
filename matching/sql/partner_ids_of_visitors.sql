-- One row per offer, id stored, deleted or refused of these visitors, newest first.
-- Called by PartnerIdsStore.of_visitors for card, access and erasure; expected: dozens a visitor.
select visitor, partner, id_space, toString(action), reason, id, id_ordinal, nonce, source,
  toUnixTimestamp64Milli(received_at) as received_ms
from partner_ids
where visitor in {visitors:Array(UInt32)}
order by received_at desc, chunk desc, row desc
