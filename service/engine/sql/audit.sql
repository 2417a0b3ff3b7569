-- One row per act of an operator, newest first. Called by the privacy page; at most {limit}.
select toUnixTimestamp64Micro(at), actor, act, subject, detail, hash
from audit where empty({acts:Array(String)}) or act in {acts:Array(String)} order by at desc limit {limit:UInt32}
