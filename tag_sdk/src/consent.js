/**
 * May we store and send? Listens to the consent APIs of the page (TCF, GPP, US Privacy, Global
 * Privacy Control, Google's consent mode) and to explicit `consent({...})` calls. A refusal wins over
 * everything, an unanswered question holds everything back. The server decides again from the same
 * signals.
 */
import { googleSays, hearDataLayer, USES, WAITING } from "./google_consent.js";
import { settings } from "./settings.js";
import { read, write } from "./storage.js";

export const GRANTED = "granted";
export const DENIED = "denied";
export { WAITING };

const LOOK_EVERY_MS = 500;
const LOOKS_MAX = 40;
const TCF_SECTION = 2;

let explicit;
let tcf;
let gpp;
let usPrivacy;
let changed = () => {};
const listening = {};

/** Start listening; `onChange` is called whenever a signal may have changed. */
export function watchConsent(onChange) {
  changed = onChange;
  explicit = read("consent");
  findConsentApis();
}

/** The visitor's own answer, given through the site's banner; one word answers everything. */
export function setExplicit(answer) {
  const uses = USES.slice(0, 4); // Google's own two fields are asked for by name alone.
  const given = typeof answer === "object" ? answer || {} : Object.fromEntries(uses.map((use) => [use, answer]));
  // What is neither yes nor absent is a refusal: nobody knows what else it may mean.
  const yesOrNo = Object.entries(given).flatMap(([use, word]) =>
    word == null ? [] : [[use, word === true || word === "granted"]],
  );
  explicit = { ...explicit, ...Object.fromEntries(yesOrNo) };
  write("consent", explicit);
  changed();
}

/** Whether this browser may be remembered: granted, denied or waiting for an answer. */
export function consentState() {
  const votes = [explicitVote(), tcfVote(), gppVote(), googleSays("store")];
  if (votes.includes(false)) return DENIED;
  if (votes.includes(WAITING)) return WAITING;
  return votes.includes(true) || settings.consent !== "required" ? GRANTED : WAITING;
}

/** Whether partners may be met: needs everything storing needs, and no word against it. */
export function maySync() {
  if (consentState() !== GRANTED || navigator.globalPrivacyControl) return false;
  const said = choices()?.sync;
  if (said !== undefined) return said;
  const askedElsewhere = tcfVote() || gppVote();
  return !!askedElsewhere || settings.consent !== "required";
}

/** The signals as every message carries them in `context.consent`; absent ones are left out. */
export function consentSignals() {
  return {
    tcf: tcf?.string,
    gdpr: tcf?.applies,
    gpp: gpp?.string,
    gpp_sid: gpp?.sections,
    us_privacy: usPrivacy,
    gpc: navigator.globalPrivacyControl ? true : undefined,
    explicit: choices(),
  };
}

/** The visitor's own answers and Google's fields together: a no wins, and so does no answer yet. */
function choices() {
  const all = { ...explicit };
  for (const use of USES) {
    const word = googleSays(use);
    if (word !== undefined) all[use] = word === true && all[use] !== false;
  }
  return Object.keys(all).length ? all : undefined;
}

const explicitVote = () => explicit?.store;

function tcfVote() {
  if (!tcf) return listening.tcf && WAITING;
  return tcf.applies === false || tcf.mayStore;
}

function gppVote() {
  if (!gpp) return listening.gpp && WAITING;
  // Why: 0 says that nobody knows yet which law applies, and permits nothing.
  if (gpp.sections.includes(0)) return undefined;
  return !gpp.sections.includes(TCF_SECTION) || gpp.mayStore;
}

/** Consent platforms may arrive after the tag: keep looking for a while. */
function findConsentApis(looks = 0) {
  listen("tcf", "__tcfapi", (api) => api("addEventListener", 2, hearTcf));
  listen("gpp", "__gpp", (api) => api("addEventListener", hearGpp));
  listen("usp", "__uspapi", (api) => api("getUSPData", 1, hearUsPrivacy));
  if (settings.googleConsent) {
    listen("google", "dataLayer", (layer) => hearDataLayer(layer, changed));
  }
  if (looks < LOOKS_MAX) setTimeout(findConsentApis, LOOK_EVERY_MS, looks + 1);
}

function listen(name, global, subscribe) {
  const api = window[global];
  if (listening[name] || !(typeof api === "function" || Array.isArray(api))) return;
  listening[name] = true;
  try {
    subscribe(api);
  } catch (_) {
    // A consent platform that fails has given no permission: it stays unanswered.
  }
  changed();
}

function hearTcf(data, success) {
  // Why: while the dialog is shown, and when it is opened again later, the old answer stands.
  if (!success || (data.eventStatus === "cmpuishown" && data.gdprApplies !== false)) return;
  const consents = data.purpose?.consents || {};
  tcf = { string: data.tcString, applies: data.gdprApplies, mayStore: consents[1] === true };
  changed();
}

function hearGpp(event, success) {
  const ping = success !== false && event && event.pingData;
  if (!ping || ping.signalStatus !== "ready") return;
  const section = [].concat((ping.parsedSections || {}).tcfeuv2 || {})[0];
  const purposes = section.PurposeConsents || section.purposeConsents || [];
  gpp = {
    string: ping.gppString,
    sections: ping.applicableSections || [],
    mayStore: purposes[0] === true || purposes[0] === 1,
  };
  changed();
}

function hearUsPrivacy(data, success) {
  if (!success || !data) return;
  usPrivacy = data.uspString;
  changed();
}
