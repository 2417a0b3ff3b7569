-- One row: the time of the newest digest of a source, in milliseconds. Called by CrmRowsStore.look_again.
select toUnixTimestamp64Milli(max(at)) from crm_rows where source = {source:String}
