-- One row per event of these kinds on these days whose address is one of these, or has the one in it: whose it is. An
-- address that is a JSON list counts as that list. Up to millions of rows of 8 bytes (Native).
-- Why so bare: `event_rows_promoted` answers it, too, but takes ten times as long to analyse.
select visitor, customer
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and if(startsWith(url, '[') and isValidJSON(url),
    hasAny({texts:Array(String)},
           arrayMap(each -> if(startsWith(each, '"'), JSONExtractString(each), if(each = 'null', '', each)),
                    JSONExtractArrayRaw(url))),
    if({anywhere:Bool}, position(url, ({texts:Array(String)})[1]) > 0, has({texts:Array(String)}, url)))
