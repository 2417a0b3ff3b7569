/**
 * localStorage under this site's prefix. Closed until consent opens it, and silent where the
 * browser denies storage: callers keep their own copy in memory, this is only what survives.
 */
import { settings } from "./settings.js";

const PREFIX = `jumelle:${settings.key}:`;

// Why: a choice must be remembered even when it is "no", or the visitor is asked on every page.
const ALWAYS = "consent";

let open = false;

export function openStorage(allowed) {
  open = allowed;
}

export function read(name) {
  if (!open && name !== ALWAYS) return undefined;
  return attempt(() => JSON.parse(localStorage.getItem(PREFIX + name)) ?? undefined);
}

/** Answers whether the value is now kept. */
export function write(name, value) {
  if (!open && name !== ALWAYS) return false;
  return !!attempt(() => {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  });
}

export function remove(name) {
  attempt(() => localStorage.removeItem(PREFIX + name));
}

/** Names of all that is kept, the choice itself left out. */
export function names() {
  const found = attempt(() => Object.keys(localStorage)) || [];
  return found
    .filter((key) => key.startsWith(PREFIX) && key !== PREFIX + ALWAYS)
    .map((key) => key.slice(PREFIX.length));
}

function attempt(action) {
  try {
    return action();
  } catch (_) {
    return undefined;
  }
}
