// Says with the official Node SDK what say.py says; told by one JSON argument, tells the failures.
import { Analytics } from "@segment/analytics-node";

const told = JSON.parse(process.argv[2]);
const sdk = new Analytics({
  writeKey: told.key,
  host: told.host,
  maxEventsInBatch: told.batch,
  flushInterval: 200,
  maxRetries: 5,
});
const failures = [];
sdk.on("error", (problem) => failures.push(String(problem.reason ?? problem.code)));

const who = told.customer ? { userId: told.customer } : { anonymousId: told.browser };
sdk.identify({ ...who, traits: { plan: "gold" } });
for (let number = 0; number < told.tracks; number += 1) {
  sdk.track({ ...who, event: told.event, properties: { number, total: 9.5, currency: "USD" } });
}
sdk.page({ ...who, name: "Bikes", properties: { url: "https://shop.example/bikes" } });
sdk.screen({ ...who, name: "Bikes" });
sdk.group({ ...who, groupId: "club", traits: { name: "Cyclists" } });
sdk.alias({ userId: told.customer || told.browser, previousId: "earlier" });
await sdk.closeAndFlush({ timeout: 30_000 });
console.log(JSON.stringify({ failures }));
