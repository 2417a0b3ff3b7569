-- One row is one row number of a chunk that is already stored; asked by ConsentStore when the loader is in doubt.
-- Size: at most the records of one chunk.
select row from consents where chunk = {chunk:UInt64} order by row
