/**
 * Carries the visitor to the site's other domains: a link or form that leads there gets a token of
 * the server's, which lives two minutes. It is asked for when a visitor begins to move on a page that
 * has such links, so that no click waits for it; a click that comes sooner goes without.
 */
import { consentState, GRANTED } from "./consent.js";
import { settings } from "./settings.js";
import { askForLink } from "./transport.js";

const FRESH_MS = 60000;
const LOOK_EVERY_MS = 1000;

let token;
let askAfter = 0;

export function watchLinks() {
  if (settings.linkDomains.length < 2) return;
  for (const name of ["pointerover", "focusin", "touchstart"]) {
    addEventListener(name, freshen, { capture: true, passive: true });
  }
  for (const name of ["click", "auxclick", "contextmenu", "submit"]) {
    addEventListener(name, decorate, true);
  }
}

/** Have a token ready while the visitor moves about a page that leads elsewhere. */
async function freshen() {
  if (Date.now() < askAfter || consentState() !== GRANTED) return;
  const leads = [...document.links, ...document.forms].some(targetOf);
  askAfter = Date.now() + (leads ? FRESH_MS : LOOK_EVERY_MS);
  if (leads) token = await askForLink();
}

function decorate({ type, target }) {
  const element = type === "submit" ? target : target.closest?.("a[href]");
  const url = element && token && Date.now() < askAfter + FRESH_MS / 2 && targetOf(element);
  if (!url || consentState() !== GRANTED) return;
  // Why undone: the address of a link that is copied or looked at stays the page's own.
  if (element.method === "get") {
    const field = document.createElement("input");
    Object.assign(field, { type: "hidden", name: "jml_link", value: token });
    element.appendChild(field);
    setTimeout(() => field.remove());
    return;
  }
  const name = nameOf(element);
  const before = element.getAttribute(name);
  url.search += `${url.search ? "&" : "?"}jml_link=${token}`;
  element.setAttribute(name, url.href);
  setTimeout(() => element.setAttribute(name, before));
}

/** The address that a link or form leads to, if it is on another of the site's domains. */
function targetOf(element) {
  try {
    const url = new URL(element.getAttribute(nameOf(element)), document.baseURI);
    const domain = /^https?:$/.test(url.protocol) && domainOf(url.hostname);
    return domain && domain !== domainOf(location.hostname) && url;
  } catch (_) {
    return undefined;
  }
}

const nameOf = (element) => (element.tagName === "FORM" ? "action" : "href");

/** Which of the site's domains a host is of; one that begins with a dot covers those below it. */
export const domainOf = (host) =>
  settings.linkDomains.find((each) => each === host || (each[0] === "." && `.${host}`.endsWith(each)));
