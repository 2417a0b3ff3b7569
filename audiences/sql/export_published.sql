-- One row: the newest published run of a seat, 0 without any. Called by the export store before and after each export.
select max(run) from exports where seat = {seat:String} and status = 'published'
