// RudderStack's SDK with its plugins inside, so that it fetches none.
import { RudderAnalytics } from "@rudderstack/analytics-js/bundled";

const analytics = new RudderAnalytics();
analytics.load("demo", location.origin, { configUrl: location.origin });
analytics.page();
window.happen = (name, properties) => analytics.track(name, properties);
