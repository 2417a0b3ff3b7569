/**
 * What the server wrote in front of the tag (`window.__jumelle_settings`), what the script tag says
 * in `data-` attributes, and every default. An empty `host` means: the folder this script came from,
 * so a reverse-proxy path just works.
 */
const script = document.currentScript;

export const settings = {
  key: "",
  host: "",
  global: "jumelle",
  autoPage: true,
  hashRoutes: false,
  consent: "optional",
  googleConsent: true,
  anonymous: false,
  cookieSync: true,
  syncLimit: 5,
  syncExcluded: [],
  linkDomains: [],
  ...window.__jumelle_settings,
};

for (const [name, text] of Object.entries({ ...script?.dataset })) {
  try {
    settings[name] = JSON.parse(text);
  } catch (_) {
    settings[name] = text; // Most are plain words; true, numbers and lists are read as such.
  }
}

const folder = script?.src ? new URL(".", script.src).href : location.origin;
settings.host = (settings.host || folder).replace(/\/$/, "");
