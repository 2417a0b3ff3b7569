-- One row per id of these that more visitors carry live than one id may have: its ordinal.
-- Called by PartnerIdsStore.fan_out for the card; expected: none, of dozens of ids.
select id_ordinal from (
  select id_ordinal, action, received_at from partner_ids
  where action in ('stored', 'deleted') and received_at <= fromUnixTimestamp64Milli({as_of_ms:Int64})
    and (id_space, visitor) in (
      select id_space, visitor from partner_ids
      where id_ordinal in {ordinals:Array(UInt32)} and action = 'stored'
        and visitor >= {first:UInt32}
    )
  order by id_space, visitor, received_at desc, chunk desc, row desc
  limit 1 by id_space, visitor
)
where action = 'stored' and received_at >= fromUnixTimestamp64Milli({since_ms:Int64})
  and id_ordinal in {ordinals:Array(UInt32)}
group by id_ordinal having count() > {visitors_max:UInt32}
order by id_ordinal
