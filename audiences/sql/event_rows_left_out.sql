-- One number: the events of these kinds and days that a sum leaves out, because their currency is not their site's.
-- `preview` warns with it.
select count()
from events
where event in {events:Array(String)}
  and day between {first:Date} and {last:Date}
  and ({site:String} = '' or site = {site:String})
  and bitAnd(flags, 2) = 0
  and currency != '' and has({sites:Array(String)}, site)
  and upper(currency) != ({currencies:Array(String)})[indexOf({sites:Array(String)}, site)]
