-- One number: the newest version of the key, deleted ones included, or 0. Asked by AudienceStore before it saves.
select max(version) from audiences where key = {key:String}
