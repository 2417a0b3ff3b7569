// Segment's analytics.js, sending to one place.
import { AnalyticsBrowser } from "@segment/analytics-next";

const analytics = AnalyticsBrowser.load(
  { writeKey: "demo", cdnURL: location.origin },
  { integrations: { "Segment.io": { apiHost: `${location.host}/v1`, protocol: "http" } } },
);
analytics.page();
window.happen = (name, properties) => analytics.track(name, properties);
