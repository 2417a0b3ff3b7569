/**
 * Speaks to the server: text bodies without own headers, so that no preflight is needed.
 * Gives a status back, never an exception; who retries what is the queue's business.
 */
import { settings } from "./settings.js";

const TIMEOUT_MS = 30000;

const KEEPALIVE_BYTES_MAX = 60000;

/** What goes in the address of the messages until the server has heard it, such as tokens of links. */
export let arrived = {};

const url = (path, more = {}, keyName = "key") =>
  `${settings.host}${path}?${new URLSearchParams({ [keyName]: settings.key, ...more })}`;

/** Status 0 means that no answer came. */
export async function postMessages(body, credentials = "include") {
  const named = credentials !== "omit";
  const { ok, status, headers } = await post(url("/t", named ? arrived : {}), body, credentials);
  if (named && ok) arrived = {};
  return {
    status,
    retryAfterMs: retryAfterMs(headers.get("Retry-After")),
    reference: headers.get("Jumelle-Visitor"),
  };
}

/** For a page that goes away; true when the browser took the body over. */
export function beaconMessages(body) {
  const target = url("/t", arrived);
  if (navigator.sendBeacon?.(target, body)) return true;
  post(target, body);
  return false;
}

/** The partners to meet now, or undefined when the server did not say. */
export async function askForSyncs(request) {
  const response = await post(url("/cookie_sync", {}, "account"), JSON.stringify(request));
  const answer = response.ok && (await response.json().catch(() => undefined));
  return answer ? answer.bidder_status || [] : undefined;
}

/** A token that carries this visitor to another domain of the site; null without one. */
export async function askForLink() {
  return (await post(url("/t", { link: "new" }), "[]")).headers.get("Jumelle-Link");
}

/** Never fails: what got no answer is an answer with status 0. */
async function post(target, body, credentials = "include") {
  const signal = AbortSignal.timeout?.(TIMEOUT_MS);
  try {
    return await fetch(target, {
      method: "POST",
      headers: { "Content-Type": "text/plain" },
      credentials,
      // Why not always: browsers refuse larger bodies that should outlive their page.
      keepalive: body.length < KEEPALIVE_BYTES_MAX,
      signal,
      body,
    });
  } catch (_) {
    return Response.error();
  }
}

function retryAfterMs(header) {
  const seconds = Number(header);
  return Math.max(0, isNaN(seconds) ? Date.parse(header) - Date.now() || 0 : seconds * 1000);
}
