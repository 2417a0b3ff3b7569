// The community's tracker: page views by itself, an event as it is called.
import Plausible from "plausible-tracker";

const plausible = Plausible({ domain: "shop.example", apiHost: location.origin, trackLocalhost: true });
plausible.enableAutoPageviews();
window.happen = (name, properties) => plausible.trackEvent(name, { props: properties });
