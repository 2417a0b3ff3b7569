"""Says all that the official Python SDK can say; told by one JSON argument, tells the failures."""

import json
import sys

from segment.analytics import Client

told = json.loads(sys.argv[1])
failures: list[str] = []
sdk = Client(
    told["key"],
    host=told["host"],
    gzip=told["gzip"],
    upload_size=told["batch"],
    upload_interval=0.2,
    max_retries=5,
    on_error=lambda problem, _: failures.append(str(problem)),
)
who = {"user_id": told["customer"]} if told["customer"] else {"anonymous_id": told["browser"]}
sdk.identify(**who, traits={"plan": "gold"})
for number in range(told["tracks"]):
    sdk.track(
        **who,
        event=told["event"],
        properties={"number": number, "total": 9.5, "currency": "USD"},
    )
sdk.page(**who, name="Bikes", properties={"url": "https://shop.example/bikes"})
sdk.screen(**who, name="Bikes")
sdk.group(**who, group_id="club", traits={"name": "Cyclists"})
sdk.alias(previous_id="earlier", user_id=told["customer"] or told["browser"])
sdk.shutdown()
json.dump({"failures": failures}, sys.stdout)
