-- Wipes the ids of these visitors; their ordinals stay taken. Called by CustomerStore.erase.
alter table visitors update id = toFixedString('', 16)
where ordinal in {visitors:Array(UInt32)} settings mutations_sync = 2
