-- One row per record of a chunk that was set aside. Called by the loader; few rows.
select row from bad_records where chunk = {chunk:UInt64}
