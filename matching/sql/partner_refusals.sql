-- One row per partner and reason for which ids were refused since a time: how many.
-- Called by PartnerAnswersStore.health; expected: a dozen rows a partner at most.
select partner, reason, count() from partner_ids
where action = 'refused' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
group by partner, reason
order by partner, reason
