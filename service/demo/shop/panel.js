/**
 * The panel "What Jumelle knows": asks for this browser's identity card every two seconds and
 * draws it. A part of the panel is drawn anew only when what it shows has changed.
 */
import { byId } from "./elements.js";
import * as draw from "./card.js";

const POLL_MS = 2000;
const POLL_AFTER_FAILURE_MS = 6000;

let paused = false;
let known = {};
let timer;
let showOffer;

/** Start asking; `onOffer(audiences)` is called when the audiences of this browser change. */
export function startPanel(onOffer) {
  showOffer = onOffer;
  byId("pause").addEventListener("click", () => pause(!paused));
  document.addEventListener("visibilitychange", () => !document.hidden && poll());
  poll();
}

async function poll() {
  clearTimeout(timer);
  if (paused || document.hidden) return;
  const card = await fetchCard();
  if (card) show(card);
  if (!paused) live(card ? "live" : "no answer, trying again", !!card);
  clearTimeout(timer);
  timer = setTimeout(poll, card ? POLL_MS : POLL_AFTER_FAILURE_MS);
}

function pause(now) {
  paused = now;
  byId("pause").textContent = paused ? "Resume" : "Pause";
  live(paused ? "paused" : "live", !paused);
  if (!paused) poll();
}

async function fetchCard() {
  try {
    const response = await fetch("/demo/shop/card", { cache: "no-store" });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

function show(card) {
  const visitor = draw.visitorOf(card);
  byId("panel-empty").hidden = !!visitor;
  byId("panel-card").hidden = !visitor;
  when("empty", draw.emptyOf(card), ([nobody, hint]) => {
    byId("panel-nobody").textContent = nobody;
    byId("panel-hint").textContent = hint;
  });
  const me = card.me_audiences || [];
  when("offer", me, () => showOffer(me));
  when("story", draw.chaptersOf(card), (done) => tick(done));
  if (!visitor) return;
  part("thread", draw.threadOf(card), draw.thread);
  part("consent", draw.consentOf(visitor), draw.consent);
  part("traits", card.traits || {}, draw.traits);
  part("audiences", { all: card.audiences || [], me }, draw.audiences);
  const names = card.partner_names || {};
  part("reach", { partners: card.partners || [], names }, draw.reach);
  part("exports", card.exports || [], draw.exports);
  part("events", (card.events || []).slice(0, 8), draw.events);
  when("summary", draw.summaryOf(card), (text) => (byId("panel-summary").textContent = text));
}

/** Draw one part of the panel, if what it shows is new. */
function part(name, value, drawPart) {
  when(name, value, (now, before) => byId(`panel-${name}`).replaceChildren(...drawPart(now, before)));
}

function when(name, value, action) {
  const text = JSON.stringify(value);
  if (known[name] && known[name].text === text) return;
  const before = known[name] && known[name].value;
  known = { ...known, [name]: { text, value } };
  action(value, before);
}

function tick(done) {
  for (const item of document.querySelectorAll("[data-chapter]")) {
    const told = done.includes(item.dataset.chapter);
    item.classList.toggle("done", told);
    item.querySelector(".chapter-state").textContent = told ? "done" : "to do";
  }
}

function live(text, well) {
  byId("live").textContent = text;
  byId("live").classList.toggle("live-well", well);
}
