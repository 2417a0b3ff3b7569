-- One row per customer asked for whose row of this source has a digest to be forgotten.
-- Called by CrmRowsStore.look_again when messages brought traits; expected: a chunk's customers at most.
select customer from crm_rows final
where source = {source:String} and customer in {customers:Array(UInt32)} and digest != 0
