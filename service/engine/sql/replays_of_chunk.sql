-- One row per record of a chunk that tried a bad record again. Called when a load is in doubt; few rows.
select row from bad_replays where chunk = {chunk:UInt64}
