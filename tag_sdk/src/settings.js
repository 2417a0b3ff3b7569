/**
 * What the server wrote in front of the tag (`window.__jumelle_settings`), with every default.
 * An empty `host` means: the folder this script came from, so a reverse-proxy path just works.
 */
const given = window.__jumelle_settings || {};
const script = document.currentScript;
const scriptFolder = script && script.src ? new URL(".", script.src).href : location.origin;

export const settings = {
  key: "",
  global: "jumelle",
  autoPage: true,
  hashRoutes: false,
  consent: "optional",
  cookieSync: true,
  syncLimit: 5,
  syncIframes: true,
  ...given,
  host: (given.host || scriptFolder).replace(/\/$/, ""),
};
