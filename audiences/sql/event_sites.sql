-- One row per event name and site on these days: how often and when it came; a few hundred rows. Asked by
-- CatalogueStore.per_site; it reads the key's columns alone.
select event, site, count(), toUnixTimestamp64Milli(min(at)), toUnixTimestamp64Milli(max(at))
from events
where day between {first:Date} and {last:Date}
group by event, site
order by count() desc, event, site
