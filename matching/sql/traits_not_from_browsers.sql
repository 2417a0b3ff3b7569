-- One row per trait and customer, of those asked for, whose value did not come from a browser.
-- Called by CustomerStore.put_traits before browsers' traits are written; expected: at most as asked.
select trait, customer from customer_traits final
where (trait, customer) in (
    select arrayJoin(arrayZip({traits:Array(String)}, {customers:Array(UInt32)}))
  )
  and kind != '' and source != {browser:String}
