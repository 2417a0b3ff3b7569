-- One row per active activation of a seat, or of every seat when `seat` is empty. Called by the export store; tens of rows.
select
  seat,
  audience,
  argMax(activations.segment, activations.at) as newest_segment,
  argMax(activations.expires_days, activations.at) as newest_expires_days,
  argMax(activations.holdout_percent, activations.at) as newest_holdout_percent
from activations
where {seat:String} = '' or seat = {seat:String}
group by seat, audience
having argMax(activations.active, activations.at) = 1
order by seat, newest_segment, audience
