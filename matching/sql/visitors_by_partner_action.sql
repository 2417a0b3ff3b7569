-- One row per visitor of one id space to whom a sync was offered or whose answer was refused, and which of both.
-- Called by IdStatesStore.read; expected: up to twice every visitor that was ever offered a sync.
select visitor, toUInt8(action = 'refused') as is_refused
from partner_ids
where id_space = {id_space:String} and visitor >= {first:UInt32} and action in ('offered', 'refused')
