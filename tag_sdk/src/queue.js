/**
 * Messages on their way to the server. Each is kept in memory and, once consent allows it, in
 * localStorage until the server has it; the server counts a messageId once, so sending twice is
 * safe and losing one is not. Every page has a list of its own and holds a lock on it while it
 * lives; a list that nobody holds is taken over by one other page.
 */
import { consentState, DENIED, GRANTED } from "./consent.js";
import { meet, who } from "./identity.js";
import { log } from "./log.js";
import { randomId, stamped, withoutToken } from "./messages.js";
import { names, read, remove, write } from "./storage.js";
import { beaconMessages, postMessages } from "./transport.js";

const SOON_MS = 30; // A browser that crashes forgets what it has not yet written to its disk.
const STARTED_MS = 500;
const MESSAGES_MAX = 200;
const MESSAGE_BYTES_MAX = 28000;
const BATCH_BYTES_MAX = 60000; // Browsers give keepalive requests and beacons 64 KB together.
const AFTER_BEACON_MS = 5000; // By then its answer has brought the cookie.
const BACKOFF_FIRST_MS = 1000;
const BACKOFF_LAST_MS = 300000;
const LEASE_MS = 600000; // Without locks: longer than any pause of a living page between two tries.

const LIST = `queue.${randomId().slice(0, 8)}`;

let entries = []; // {message, done, farewell, handedOver}
let inFlight = [];
let failures = 0;
let notBefore = 0;
let timer;
let due = Infinity;
let unsaved = false;
let delivered = () => {};
let leaving = () => {};
let kept = false;
const waiting = [];
const held = [];

/**
 * Start sending; `onDelivered(newVisitor)` is called after each answer that took messages, `onLeave`
 * when the page may be left for ever.
 */
export function startQueue(onDelivered, onLeave) {
  delivered = onDelivered;
  leaving = onLeave;
  document.addEventListener("visibilitychange", () => document.hidden && leave());
  addEventListener("pagehide", () => {
    leave();
    save(0);
    // Why: a page that holds locks may be no page to go back to.
    held.splice(0).forEach((letGo) => letGo());
  });
  addEventListener("pageshow", (event) => event.persisted && comeBack());
  addEventListener("online", () => {
    failures = 0;
    notBefore = read("wait") || 0;
    schedule(SOON_MS);
  });
}

/**
 * Promise of true once the server has the message, of false when it was dropped.
 * A `farewell` tells the server of a refusal and is the one thing sent after it.
 */
export function add(message, farewell = false) {
  if (!farewell && consentState() === DENIED) return refuse(message, "no consent");
  const text = JSON.stringify(message);
  if (bytesOf(text) > MESSAGE_BYTES_MAX) return refuse(message, "too large");
  return new Promise((done) => {
    entries.push({ message: JSON.parse(text), done, farewell });
    while (entries.length > MESSAGES_MAX) entries.shift().done(false);
    saveSoon();
    if (due > Date.now() + SOON_MS) schedule(SOON_MS); // Why: many calls in a row must not put it off.
  });
}

/** Consent was given: keep what waits, take over what gone pages left, send. */
export function release() {
  const lists = names().filter((name) => name.startsWith("queue.") && name !== LIST);
  // Why later: a page that starts this very moment has a list before it is given the lock on it.
  setTimeout(() => lists.forEach((name) => hold(name, adopt)), STARTED_MS);
  hold(LIST);
  notBefore = Math.max(notBefore, read("wait") || 0);
  save();
  schedule(SOON_MS);
}

/** Hold a list until this page is gone; `then(name)` is called if no other page holds it. */
function hold(name, then) {
  if (!navigator.locks) return then?.(name);
  const use = (lock) => {
    if (!lock) return undefined;
    if (then) then(name);
    return new Promise((letGo) => held.push(letGo));
  };
  return navigator.locks.request(name, { ifAvailable: true }, use).catch(log);
}

function adopt(name) {
  const list = read(name);
  if (!list || (!navigator.locks && Date.now() - list.at < LEASE_MS)) return;
  const left = list.messages.map((message) => ({ message, done() {} }));
  entries = left.concat(entries).slice(-MESSAGES_MAX);
  save();
  remove(name);
  schedule(SOON_MS);
}

/** Take entries out that go another way; who takes them tells their callers. */
export function takeOut(wanted) {
  const taken = entries.filter((entry) => !inFlight.includes(entry) && wanted(entry.message));
  entries = entries.filter((entry) => !taken.includes(entry));
  save();
  return taken;
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
  due = Infinity;
  const early = notBefore - Date.now();
  if (early > 0) return schedule(early);
  const [batch, body] = nextBatch(inFlight.length ? [] : sendable());
  if (!batch.length) return undefined;
  inFlight = batch;
  const answer = await postMessages(body);
  inFlight = [];
  log("sent", batch.length, "status", answer.status);
  settle(batch, answer);
  waiting.splice(0).forEach((done) => done());
  return schedule(SOON_MS);
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
  leaving();
  if (kept && Date.now() < notBefore) return;
  // Why: the first answer brings the cookie. A beacon that overtakes it would arrive without, and
  // this browser would be counted as two; what is kept on disk goes with the next page instead.
  if (inFlight.length && !who.reference && kept) return;
  let rest = sendable().filter((entry) => !entry.handedOver && !inFlight.includes(entry));
  while (rest.length) {
    const [batch, body] = nextBatch(rest);
    if (!beaconMessages(body)) return;
    batch.forEach((entry) => (entry.handedOver = true));
    rest = rest.slice(batch.length);
    schedule(AFTER_BEACON_MS);
  }
}

/** Back from the browser's page cache: another page may have taken our list over. */
function comeBack() {
  if (kept && !read(LIST)) dropAll();
  hold(LIST);
  save();
  schedule(0);
}

function sendable() {
  const granted = consentState() === GRANTED;
  return entries.filter((entry) => granted || entry.farewell);
}

/** As many as one request takes, and its body. */
function nextBatch(candidates) {
  const texts = [];
  let bytes = 0;
  for (const { message } of candidates) {
    const text = JSON.stringify(stamped(message));
    bytes += bytesOf(text) + 1;
    if (bytes > BATCH_BYTES_MAX && texts.length) break;
    texts.push(text);
  }
  return [candidates.slice(0, texts.length), `[${texts}]`];
}

// Why no Blob: to make one takes the browser a millisecond.
const bytesOf = (text) => new TextEncoder().encode(text).length;

/** Calls of one moment are written once, and before anything else can happen to the page. */
function saveSoon() {
  if (!unsaved) Promise.resolve().then(() => save());
  unsaved = true;
}

function save(at = Date.now()) {
  unsaved = false;
  const messages = entries.map((entry) => withoutToken(entry.message));
  kept = messages.length > 0 && write(LIST, { at, messages });
  if (!messages.length) remove(LIST);
}

function schedule(delayMs) {
  clearTimeout(timer);
  due = Date.now() + delayMs;
  timer = setTimeout(flush, delayMs);
}

function refuse(message, reason) {
  log("dropped", message.type, reason);
  return Promise.resolve(false);
}
