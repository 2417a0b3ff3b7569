/**
 * The tag's table of contents: what starts, in which order, and what follows when consent
 * changes. Including the script twice does nothing the second time.
 */
import { sendUnnamed, watchUnnamed } from "./anonymous.js";
import { makeApi } from "./api.js";
import { takeTokens } from "./arrival.js";
import { consentSignals, consentState, DENIED, GRANTED, watchConsent } from "./consent.js";
import { watchElements } from "./elements.js";
import { forget, recall, who } from "./identity.js";
import { domainOf, watchLinks } from "./links.js";
import { log } from "./log.js";
import { message } from "./messages.js";
import { unturnPage, watchPages } from "./page_views.js";
import { add, dropAll, release, startQueue } from "./queue.js";
import { settings } from "./settings.js";
import { names, openStorage, read, remove } from "./storage.js";
import { syncAgain, syncWhenDue } from "./sync.js";
import { arrived } from "./transport.js";

const stub = window[settings.global] || [];
if (!stub.version) start();

function start() {
  let state;
  let told; // The signals the server last heard from this page.
  let lookAtPage = () => {};

  Object.assign(arrived, stub.arrived, takeTokens());
  // Why: a link from elsewhere could make this browser the one of whoever made the token.
  if (!domainOf(document.referrer.split(/[/:]/)[3])) delete arrived.link;
  const api = makeApi(() => lookAtPage());
  startQueue(delivered, () => sendUnnamed(true));
  watchConsent(consentChanged);
  consentChanged();
  replay(api);
  watchElements(api.track);
  watchLinks();
  watchUnnamed();
  if (settings.autoPage) lookAtPage = watchPages(() => api.page());

  function delivered(newVisitor) {
    told = JSON.stringify(consentSignals());
    if (newVisitor) syncAgain();
    syncWhenDue();
  }

  function consentChanged() {
    const before = state;
    state = consentState();
    if (state !== before) log("consent", state);
    openStorage(state === GRANTED);
    if (state === GRANTED) granted(before);
    if (state === DENIED && before !== DENIED) denied();
  }

  function granted(before) {
    if (before !== GRANTED) {
      recall();
      if (!who.reference) arrived.who = 1; // The server may know this browser by its cookie.
      release();
      if (before === DENIED) countAgain();
      return;
    }
    if (told === undefined || told === JSON.stringify(consentSignals())) return;
    told = undefined;
    syncAgain();
    add(message("track", { event: "Consent Updated", properties: {} }));
  }

  /** What was seen under the refusal was dropped; the page that now is open counts. */
  function countAgain() {
    unturnPage();
    lookAtPage();
  }

  /** Forget all, and tell the server if it knows this browser: a withdrawal must arrive. */
  function denied() {
    openStorage(true); // Once more, to clear it.
    const reference = who.reference || read("visitor");
    const known = told !== undefined || reference || names().length > 0;
    dropAll();
    forget();
    who.reference = undefined;
    names().forEach(remove);
    syncAgain();
    openStorage(false);
    if (!known) return;
    const event = { event: "Consent Updated", properties: {}, anonymousId: reference };
    add(message("track", event), true);
  }
}

/** Run what the page called before the tag was there, in order, on the object the page holds. */
function replay(api) {
  const early = Array.isArray(stub) ? stub.splice(0) : [];
  const run = ([name, ...args]) =>
    typeof api[name] === "function" ? api[name](...args) : Promise.resolve(false);
  window[settings.global] = Object.assign(stub, api, {
    push: (...calls) => calls.forEach(run),
  });
  early.forEach((call) => run(call).then(call.done));
}
