/** The calls a page can make. Each returns a promise and none of them throws into the page. */
import { sendUnnamed } from "./anonymous.js";
import { sorted } from "./arguments.js";
import { consentState, GRANTED, setExplicit } from "./consent.js";
import { forget, remember, who } from "./identity.js";
import { debug, log } from "./log.js";
import { message, VERSION } from "./messages.js";
import { turnPage, pageNow } from "./page_views.js";
import { add, settled } from "./queue.js";

const CALLBACK_AFTER_MS = 300; // A page may wait for it before it leaves, whatever the network does.

/** `lookAtPage` counts a page view that is due, so that it comes before what happens on it. */
export function makeApi(lookAtPage) {
  const messages = {
    identify([userId], traits, options) {
      remember(userId, options.token);
      return { traits };
    },

    track([event], properties) {
      if (!event) throw new Error("no event");
      lookAtPage();
      return { event, properties };
    },

    page([category, name], properties) {
      turnPage();
      const named = name ? { name, category } : { name: category };
      return { ...named, properties: { ...pageNow(), ...properties } };
    },

    group: ([groupId], traits) => ({ groupId, traits }),

    alias: ([userId, previousId = who.userId]) => ({ userId, previousId }),
  };

  const calls = {
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

    ready: (then) => then?.(),
    debug,
  };

  const api = { version: VERSION };
  for (const [name, call] of Object.entries(calls)) api[name] = promised(call);
  for (const [type, fieldsOf] of Object.entries(messages)) api[type] = sending(type, fieldsOf);
  return api;
}

function sending(type, fieldsOf) {
  return (...args) => {
    const count = type === "page" || type === "alias" ? 2 : 1;
    const { texts, facts, options, callback } = sorted(args, count);
    let event;
    const sent = promised(() => {
      const fields = fieldsOf(texts, facts, options);
      event = message(type, fields, options);
      const done = add(event);
      sendUnnamed();
      return done;
    })();
    if (callback) {
      const late = new Promise((done) => setTimeout(done, CALLBACK_AFTER_MS));
      Promise.race([sent, late]).then(() => callback({ event }));
    }
    return sent;
  };
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
