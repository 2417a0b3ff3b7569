-- One row per table of this database that keeps parts on disk.
select name from system.tables where database = currentDatabase() and endsWith(engine, 'MergeTree') order by name
