/**
 * Messages on their way to the server. Each is kept in memory and, once consent allows it, in
 * localStorage until the server has it; the server counts a messageId once, so sending twice is
 * safe and losing one is not. Every page has a list of its own; a list whose page is gone is
 * taken over by the next page.
 */
import { consentState, DENIED, GRANTED } from "./consent.js";
import { meet, who } from "./identity.js";
import { log } from "./log.js";
import { randomId, stamped, withoutToken } from "./messages.js";
import { names, read, remove, write } from "./storage.js";
import { beaconMessages, postMessages } from "./transport.js";

const SOON_MS = 100;
const MESSAGES_MAX = 200;
const MESSAGE_BYTES_MAX = 28000;
const BATCH_BYTES_MAX = 60000; // Browsers give keepalive requests and beacons 64 KB together.
const AFTER_BEACON_MS = 5000; // By then its answer has brought the cookie.
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_LAST_MS = 300000;
const LEASE_MS = 600000; // Longer than any pause between two tries of a living page.

const LIST = `queue.${randomId().slice(0, 8)}`;

let entries = []; // {message, done, farewell, handedOver}
let inFlight = [];
let failures = 0;
let notBefore = 0;
let timer;
let delivered = () => {};
let kept = false;
const waiting = [];

/** Start sending; `onDelivered(newVisitor)` is called after each answer that took messages. */
export function startQueue(onDelivered) {
  delivered = onDelivered;
  document.addEventListener("visibilitychange", () => document.hidden && leave());
  addEventListener("pagehide", () => {
    leave();
    save(0);
  });
  addEventListener("pageshow", (event) => event.persisted && comeBack());
  addEventListener("online", () => {
    failures = 0;
    schedule(SOON_MS);
  });
}

/**
 * Promise of true once the server has the message, of false when it was dropped.
 * A `farewell` tells the server of a refusal and is the one thing sent after it.
 */
export function add(message, farewell = false) {
  if (!farewell && consentState() === DENIED) return refuse(message, "no consent");
  const plain = JSON.parse(JSON.stringify(message));
  if (bytesOf(plain) > MESSAGE_BYTES_MAX) return refuse(message, "too large");
  return new Promise((done) => {
    entries.push({ message: plain, done, farewell });
    while (entries.length > MESSAGES_MAX) entries.shift().done(false);
    save();
    schedule(SOON_MS);
  });
}

/** Consent was given: keep what waits, take over what gone pages left, send. */
export function release() {
  for (const name of names().filter((each) => each.startsWith("queue."))) {
    const list = read(name);
    if (name === LIST || !list || Date.now() - list.at < LEASE_MS) continue;
    remove(name);
    const known = new Set(entries.map((entry) => entry.message.messageId));
    const left = list.messages.filter((each) => !known.has(each.messageId));
    const adopted = left.map((each) => ({ message: each, done() {} }));
    entries = adopted.concat(entries).slice(-MESSAGES_MAX);
  }
  notBefore = Math.max(notBefore, read("wait") || 0);
  save();
  schedule(0);
}

/** Consent was refused: forget everything that waits. */
export function dropAll() {
  entries.forEach((entry) => entry.done(false));
  entries = [];
  waiting.splice(0).forEach((done) => done());
}

/** Resolves after the next answer of the server, at once when nothing is on its way. */
export async function settled() {
  if (entries.length && consentState() === GRANTED) {
    await new Promise((done) => waiting.push(done));
  }
}

async function flush() {
  const early = notBefore - Date.now();
  if (early > 0) return schedule(early);
  const batch = inFlight.length ? [] : nextBatch(sendable());
  if (!batch.length) return undefined;
  inFlight = batch;
  const answer = await postMessages(bodyOf(batch));
  inFlight = [];
  log("sent", batch.length, "status", answer.status);
  settle(batch, answer);
  waiting.splice(0).forEach((done) => done());
  return schedule(0);
}

function settle(batch, { status, retryAfterMs, reference }) {
  const took = status >= 200 && status < 300;
  if (!took && (status === 0 || status === 408 || status === 429 || status >= 500)) {
    backOff(retryAfterMs);
    return;
  }
  failures = 0;
  entries = entries.filter((entry) => !batch.includes(entry));
  save();
  batch.forEach((entry) => entry.done(took));
  if (took) delivered(consentState() === GRANTED && meet(reference));
}

function backOff(retryAfterMs) {
  const pause = Math.min(BACKOFF_LAST_MS, BACKOFF_FIRST_MS * 2 ** failures) * (0.5 + Math.random());
  failures += 1;
  notBefore = Date.now() + Math.max(pause, Math.min(retryAfterMs, LEASE_MS / 2));
  if (retryAfterMs) write("wait", notBefore);
  save();
}

/** The page is hidden and may never come back: hand over what is not on its way already. */
function leave() {
  if (kept && Date.now() < notBefore) return;
  // Why: the first answer brings the cookie. A beacon that overtakes it would arrive without, and
  // this browser would be counted as two; what is kept on disk goes with the next page instead.
  if (inFlight.length && !who.reference && kept) return;
  let rest = sendable().filter((entry) => !entry.handedOver && !inFlight.includes(entry));
  while (rest.length) {
    const batch = nextBatch(rest);
    if (!beaconMessages(bodyOf(batch))) return;
    batch.forEach((entry) => (entry.handedOver = true));
    rest = rest.slice(batch.length);
    schedule(AFTER_BEACON_MS);
  }
}

/** Back from the browser's page cache: another page may have taken our list over. */
function comeBack() {
  if (kept && !read(LIST)) dropAll();
  save();
  schedule(0);
}

function sendable() {
  const granted = consentState() === GRANTED;
  return entries.filter((entry) => granted || entry.farewell);
}

function nextBatch(candidates) {
  let bytes = 0;
  const end = candidates.findIndex((entry) => {
    bytes += bytesOf(stamped(entry.message)) + 1;
    return bytes > BATCH_BYTES_MAX;
  });
  return end < 0 ? candidates : candidates.slice(0, Math.max(1, end));
}

const bodyOf = (batch) => JSON.stringify(batch.map((entry) => stamped(entry.message)));

const bytesOf = (message) => new Blob([JSON.stringify(message)]).size;

function save(at = Date.now()) {
  const messages = entries.map((entry) => withoutToken(entry.message));
  kept = messages.length > 0 && write(LIST, { at, messages });
  if (!messages.length) remove(LIST);
}

function schedule(delayMs) {
  clearTimeout(timer);
  timer = setTimeout(flush, delayMs);
}

function refuse(message, reason) {
  log("dropped", message.type, reason);
  return Promise.resolve(false);
}
