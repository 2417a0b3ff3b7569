/** Builds messages after the Segment spec. What may still change (consent, reference) is added when one leaves. */
import { consentSignals } from "./consent.js";
import { who } from "./identity.js";
import { pageNow } from "./page_views.js";

export const VERSION = __VERSION__;

export function message(type, fields) {
  return {
    type,
    messageId: randomId(),
    timestamp: new Date().toISOString(),
    userId: who.userId,
    ...fields,
    context: {
      page: pageNow(),
      library: { name: "jumelle-js", version: VERSION },
      token: who.token,
    },
  };
}

/** The message as it leaves now. */
export function stamped(message) {
  return {
    ...message,
    anonymousId: who.reference || message.anonymousId,
    sentAt: new Date().toISOString(),
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
