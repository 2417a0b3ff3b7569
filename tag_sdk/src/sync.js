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
  if (!settings.cookieSync || waiting || !due || !maySyncHere()) return;
  waiting = true;
  whenIdle(() => {
    waiting = false;
    if (maySyncHere()) sync();
  });
}

/** Consent, and a page that the site has not excluded, such as its checkout. */
const maySyncHere = () =>
  maySync() && !settings.syncExcluded.some((prefix) => location.pathname.startsWith(prefix));

/** Forget when partners were met: the visitor or the consent is another one. */
export function syncAgain() {
  quietUntil = 0;
  remove("sync");
}

async function sync() {
  quiet(QUIET_AFTER_LIST_MS);
  const offers = await askForSyncs(request());
  if (!offers || !maySyncHere()) return;
  log("partners", offers.length);
  if (!offers.length) quiet(QUIET_AFTER_NONE_MS);
  offers.slice(0, settings.syncLimit).forEach(({ usersync }) => usersync && fire(usersync));
}

/** The body as Prebid Server reads it, with the explicit answer beside it. */
function request() {
  const { tcf, gdpr, gpp, gpp_sid, us_privacy, explicit } = consentSignals();
  return {
    gdpr,
    gdpr_consent: tcf,
    us_privacy,
    gpp,
    gpp_sid: gpp_sid?.join(","),
    explicit,
    limit: settings.syncLimit,
    debug: debugging() || undefined,
  };
}

function fire({ url, type, hideReferrer }) {
  if (!/^(https?:)?\/\//.test(url)) return;
  const frame = type === "iframe";
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
