-- One row per customer that was in a file of this source, with the digest of its last row.
-- Called by CrmRowsStore at the first row of an import; expected: up to every customer, 12 bytes each.
select customer, digest from crm_rows final where source = {source:String}
