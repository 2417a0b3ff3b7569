-- One row or none: why a seat is held, an empty text when it is not any more. Called by the export store once in each
-- export and for the API.
select reason from seat_holds where seat = {seat:String} order by at desc limit 1
