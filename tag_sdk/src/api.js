/** The calls a page can make. Each returns a promise and none of them throws into the page. */
import { consentState, GRANTED, setExplicit } from "./consent.js";
import { forget, remember, who } from "./identity.js";
import { debug, log } from "./log.js";
import { message, VERSION } from "./messages.js";
import { turnPage, pageNow } from "./page_views.js";
import { add, settled } from "./queue.js";

/** `lookAtPage` counts a page view that is due, so that it comes before what happens on it. */
export function makeApi(lookAtPage) {
  const calls = {
    identify(userId, traits, options) {
      const named = isObject(userId) ? [undefined, userId, traits] : [textOf(userId), traits, options];
      remember(named[0], named[1], named[2] && named[2].token);
      return add(message("identify", { traits: named[1] || {} }));
    },

    track(event, properties = {}) {
      lookAtPage();
      return add(message("track", { event: String(event), properties }));
    },

    page(name, properties) {
      const [title, more] = isObject(name) ? [undefined, name] : [name, properties];
      turnPage();
      return add(message("page", { name: title, properties: { ...pageNow(), ...more } }));
    },

    group(groupId, traits = {}) {
      return add(message("group", { groupId: textOf(groupId), traits }));
    },

    alias(userId, previousId) {
      const previous = previousId === undefined ? who.userId : previousId;
      return add(message("alias", { userId: textOf(userId), previousId: textOf(previous) }));
    },

    reset() {
      const told = add(message("track", { event: "Signed Out", properties: {} }));
      forget();
      return told;
    },

    consent: setExplicit,

    async anonymousId() {
      if (!who.reference && consentState() === GRANTED) await settled();
      return who.reference || null;
    },

    ready: (then) => then && then(),
    debug,
  };
  const api = { version: VERSION };
  for (const [name, call] of Object.entries(calls)) api[name] = promised(call);
  return api;
}

function promised(call) {
  return async (...args) => {
    try {
      return await call(...args);
    } catch (error) {
      log("failed", error);
      return false;
    }
  };
}

const isObject = (value) => typeof value === "object" && value !== null;

const textOf = (value) => (value === undefined || value === null ? undefined : String(value));
