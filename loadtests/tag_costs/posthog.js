// PostHog as its guide sets it up; its remote settings switch recording and surveys off.
import posthog from "posthog-js";

posthog.init("phc_demo", { api_host: location.origin, defaults: "2025-05-24" });
window.happen = (name, properties) => posthog.capture(name, properties);
