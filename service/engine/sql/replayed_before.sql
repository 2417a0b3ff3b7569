-- One row per bad record of these that an earlier chunk already tried again. Called for chunks with replays; few rows.
select distinct origin from bad_replays where origin in {origins:Array(String)} and chunk < {chunk:UInt64}
