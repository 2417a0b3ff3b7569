/**
 * Speaks to the server: text bodies without own headers, so that no preflight is needed.
 * Gives a status back, never an exception; who retries what is the queue's business.
 */
import { settings } from "./settings.js";

const TIMEOUT_MS = 30000;

const url = (path, keyName) => `${settings.host}${path}?${keyName}=${encodeURIComponent(settings.key)}`;

/** Status 0 means that no answer came. */
export async function postMessages(body) {
  try {
    const response = await post(url("/t", "key"), body, true);
    return {
      status: response.status,
      retryAfterMs: retryAfterMs(response.headers.get("Retry-After")),
      reference: response.headers.get("Jumelle-Visitor"),
    };
  } catch (_) {
    return { status: 0, retryAfterMs: 0 };
  }
}

/** For a page that goes away; true when the browser took the body over. */
export function beaconMessages(body) {
  const target = url("/t", "key");
  if (navigator.sendBeacon && navigator.sendBeacon(target, body)) return true;
  post(target, body, true).catch(() => {});
  return false;
}

/** The partners to meet now, or undefined when the server did not say. */
export async function askForSyncs(request) {
  try {
    const response = await post(url("/cookie_sync", "account"), JSON.stringify(request), false);
    return response.ok ? (await response.json()).bidder_status || [] : undefined;
  } catch (_) {
    return undefined;
  }
}

function post(target, body, keepalive) {
  const signal = AbortSignal.timeout ? AbortSignal.timeout(TIMEOUT_MS) : undefined;
  return fetch(target, {
    method: "POST",
    headers: { "Content-Type": "text/plain" },
    credentials: "include",
    keepalive,
    signal,
    body,
  });
}

function retryAfterMs(header) {
  if (!header) return 0;
  const seconds = Number(header);
  return Math.max(0, isNaN(seconds) ? Date.parse(header) - Date.now() || 0 : seconds * 1000);
}
