-- At most one row: the hash of the newest audit row. Called before each append.
select hash from audit order by at desc limit 1
