/**
 * Which page the visitor looks at, and when it becomes another one: loads, history changes and
 * pages brought back from the browser's cache. The same address in a row counts once.
 */
import { settings } from "./settings.js";

let current;
let referrer = document.referrer;

/** Calls `count` for every page view from now on. */
export function watchPages(count) {
  const look = () => {
    if (pageUrl() !== current) count();
  };
  const lookSoon = () => setTimeout(look); // Why: frameworks set the title after the address.
  for (const name of ["pushState", "replaceState"]) {
    const original = history[name];
    history[name] = function (...args) {
      const result = original.apply(this, args);
      lookSoon();
      return result;
    };
  }
  addEventListener("popstate", lookSoon);
  addEventListener("pageshow", (event) => event.persisted && count());
  if (document.prerendering) document.addEventListener("prerenderingchange", look, { once: true });
  else look();
  return look;
}

/** A page message is about to be built: what was current is now where the visitor came from. */
export function turnPage() {
  if (current && pageUrl() !== current) referrer = current;
  current = pageUrl();
}

/** Forget that this page was counted. */
export function unturnPage() {
  current = undefined;
}

export function pageNow() {
  return {
    url: pageUrl(),
    path: location.pathname,
    search: location.search || undefined,
    title: document.title,
    referrer,
  };
}

/** Without the fragment: it is no page of its own, and may hold secrets. */
function pageUrl() {
  return settings.hashRoutes ? location.href : location.href.split("#")[0];
}
