/** Builds messages after the Segment spec. What may still change (consent, reference) is added when one leaves. */
import { consentSignals } from "./consent.js";
import { who } from "./identity.js";
import { pageNow } from "./page_views.js";

export const VERSION = __VERSION__;

const REFERENCE = /^jr\./; // No other id of a page's own may name a browser.

export function message(type, fields, { context = {}, timestamp, anonymousId, integrations } = {}) {
  return {
    type,
    messageId: randomId(),
    timestamp: timeOf(timestamp),
    userId: who.userId,
    anonymousId: REFERENCE.test(anonymousId) ? anonymousId : undefined,
    integrations,
    ...fields,
    context: {
      token: who.token,
      ...context,
      page: { ...pageNow(), ...context.page },
      library: { name: "jumelle-js", version: VERSION },
    },
  };
}

/** The message as it leaves now. */
export function stamped(message) {
  return {
    ...message,
    anonymousId: message.anonymousId || who.reference,
    sentAt: timeOf(),
    context: { ...message.context, consent: consentSignals() },
  };
}

/** The message as it may rest on disk: proof is never stored. */
export function withoutToken(message) {
  return { ...message, context: { ...message.context, token: undefined } };
}

export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function timeOf(given) {
  const time = new Date(given || Date.now());
  return (isNaN(time) ? new Date() : time).toISOString();
}
