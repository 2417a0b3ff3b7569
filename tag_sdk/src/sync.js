/**
 * Lets partners meet this browser: asks the server which ones are due and fires their images.
 * After a list the tag is quiet for half an hour, after an empty one for a day; which partner is
 * met how often is the server's decision.
 */
import { consentSignals, maySync } from "./consent.js";
import { debugging, log } from "./log.js";
import { settings } from "./settings.js";
import { read, remove, write } from "./storage.js";
import { askForSyncs } from "./transport.js";

const QUIET_AFTER_LIST_MS = 30 * 60 * 1000;
const QUIET_AFTER_NONE_MS = 24 * 60 * 60 * 1000;
const IDLE_AT_MOST_MS = 2000;

let quietUntil = 0;
let waiting = false;

/** Ask when the page is loaded and idle, if it is time; never twice at once. */
export function syncWhenDue() {
  const due = Date.now() >= Math.max(quietUntil, read("sync") || 0);
  if (!settings.cookieSync || waiting || !due || !maySync()) return;
  waiting = true;
  whenIdle(() => {
    waiting = false;
    if (maySync()) sync();
  });
}

/** Forget when partners were met: the visitor or the consent is another one. */
export function syncAgain() {
  quietUntil = 0;
  remove("sync");
}

async function sync() {
  quiet(QUIET_AFTER_LIST_MS);
  const offers = await askForSyncs(request());
  if (!offers || !maySync()) return;
  log("syncs", offers);
  if (!offers.length) quiet(QUIET_AFTER_NONE_MS);
  offers.forEach(({ usersync }) => usersync && fire(usersync));
}

/** The body as Prebid Server reads it, with the explicit answer beside it. */
function request() {
  const { tcf, gdpr, gpp, gpp_sid, us_privacy, explicit } = consentSignals();
  return {
    gdpr: gdpr === undefined ? undefined : Number(gdpr),
    gdpr_consent: tcf,
    us_privacy,
    gpp,
    gpp_sid: gpp_sid && gpp_sid.join(","),
    explicit,
    limit: settings.syncLimit,
    filterSettings: settings.syncIframes
      ? undefined
      : { iframe: { bidders: "*", filter: "exclude" } },
    debug: debugging() || undefined,
  };
}

function fire({ url, type, hideReferrer }) {
  if (!/^(https?:)?\/\//.test(url)) return;
  const frame = type === "iframe";
  if (frame && !settings.syncIframes) return;
  const element = document.createElement(frame ? "iframe" : "img");
  if (frame) element.setAttribute("sandbox", "allow-scripts allow-same-origin");
  if (hideReferrer) element.referrerPolicy = "no-referrer";
  element.hidden = true;
  element.alt = "";
  element.src = url;
  element.onload = element.onerror = () => !frame && element.remove();
  document.body.appendChild(element);
}

function quiet(forMs) {
  quietUntil = Date.now() + forMs;
  write("sync", quietUntil);
}

function whenIdle(action) {
  const idle = () =>
    window.requestIdleCallback
      ? requestIdleCallback(action, { timeout: IDLE_AT_MOST_MS })
      : setTimeout(action, 1);
  if (document.readyState === "complete") idle();
  else addEventListener("load", idle, { once: true });
}
