-- One row per API key as it stands. Called at start and after changes; tens of rows.
select id, argMax(hash, at), argMax(name, at), argMax(scopes, at), argMax(sites, at), argMax(revoked, at)
from api_keys group by id order by id
