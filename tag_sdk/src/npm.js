/**
 * The form for bundlers: `import { load } from "jumelle-js"`. Gives the calls at once and loads the
 * tag behind them, as the stub of a page does. On a server, where no page is, every call does nothing.
 */
import { takeTokens } from "./arrival.js";
import { CALLS, keepCalls } from "./early_calls.js";

export function load(settings) {
  if (typeof window === "undefined") {
    return Object.fromEntries([...CALLS, "push"].map((name) => [name, async () => false]));
  }
  const name = settings.global || "jumelle";
  const jumelle = (window[name] = window[name] || []);
  if (jumelle.version || jumelle.track) return jumelle;
  jumelle.arrived = takeTokens();
  window.__jumelle_settings = settings;
  import("./jumelle.js").catch(() => console.warn("[jumelle] the tag did not load"));
  return keepCalls(jumelle);
}
