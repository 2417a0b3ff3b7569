-- One row per kind of answer that is a yes of one customer: its newest, of two at one time the refusal.
-- Called by read_granted_by for the identity card; expected: three at most.
select toString(kind) from customers
where customer = {customer:UInt32} and kind in {kinds:Array(String)}
group by kind
having argMax(value, (at, value = '0')) = '1'
