// Plausible's own tracker; it takes texts alone.
import { init, track } from "@plausible-analytics/tracker";

init({ domain: "shop.example", endpoint: `${location.origin}/api/event`, captureOnLocalhost: true });
window.happen = (name, properties) => track(name, { props: properties });
