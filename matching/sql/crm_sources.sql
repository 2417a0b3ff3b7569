-- One row per source that imported customers. Called by CrmRowsStore; expected: one or two.
select distinct toString(source) from crm_rows
