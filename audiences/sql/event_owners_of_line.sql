-- One row per event of these kinds on these days with a product line whose text is one of these: whose it is. A text
-- that is a JSON list counts as that list, as lists are promoted so. Up to millions of rows of 8 bytes (Native).
-- Why so bare: `event_rows_promoted` answers it, too, but takes ten times as long to analyse.
select visitor, customer
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and arrayExists(
    text -> if(startsWith(text, '[') and isValidJSON(text),
      hasAny({texts:Array(String)},
             arrayMap(each -> if(startsWith(each, '"'), JSONExtractString(each), if(each = 'null', '', each)),
                      JSONExtractArrayRaw(text))),
      has({texts:Array(String)}, text)),
    {column:Identifier})
