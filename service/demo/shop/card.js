/** Turns an identity card into what the panel shows: first values, then elements. */
import { make } from "./elements.js";

// Values ------------------------------------------------------------------------------------

/** This browser on the card, or null before Jumelle knows it. */
export function visitorOf(card) {
  const visitors = card.visitors || [];
  return visitors.find((each) => each.visitor === card.visitor) || visitors[0] || null;
}

/** What to say while there is nothing to draw. */
export function emptyOf(card) {
  return card.visitor
    ? ["A new browser, met a moment ago.", "Its first visit is being loaded."]
    : [
        "Nothing yet. This browser has no cookie, so there is nobody to know.",
        "Accept below, and watch this side.",
      ];
}

/** The star of one browser: itself, the partners' ids, the customer. */
export function threadOf(card) {
  const visitor = visitorOf(card);
  return {
    visitor: visitor.visitor,
    firstSeen: visitor.first_seen,
    others: card.visitors.length - 1,
    ids: newestIds(visitor.ids || []),
    links: visitor.links || [],
    crmId: card.crm_id || null,
    names: card.partner_names || {},
  };
}

const newestIds = (ids) =>
  [...ids]
    .sort((a, b) => millis(b.seen) - millis(a.seen))
    .filter((id, at, all) => all.findIndex((each) => each.partner === id.partner) === at)
    .sort((a, b) => a.partner.localeCompare(b.partner));

/** The newest consent of the visitor as words, each with yes or no. */
export function consentOf(visitor) {
  const rows = [...(visitor.consent || [])].sort((a, b) => millis(b.at) - millis(a.at));
  if (!rows.length) return null;
  const raw = rows[0].signals;
  return { at: rows[0].at, signals: typeof raw === "string" ? parsed(raw) : raw || {} };
}

/** Which chapters of Paul's story the card already tells. */
export function chaptersOf(card) {
  const visitor = visitorOf(card);
  if (!visitor) return [];
  const happened = (event) => (card.events || []).some((each) => each.event === event);
  const linked = (method) => (visitor.links || []).some((link) => link.method === method);
  const told = {
    visit: true,
    sync: (visitor.ids || []).length > 0,
    login: linked("login"),
    look: happened("Product Viewed"),
    buy: happened("Order Completed"),
    click: linked("click"),
    logout: happened("Signed Out"),
  };
  return Object.keys(told).filter((chapter) => told[chapter]);
}

/** One sentence for those who listen instead of looking. */
export function summaryOf(card) {
  const visitor = visitorOf(card);
  const ids = newestIds(visitor.ids || []).length;
  const customer = card.crm_id ? `linked to customer ${card.crm_id}` : "not linked to a customer";
  return `This browser is ${customer}, known to ${ids} partners, in ${(card.audiences || []).length} audiences.`;
}

function parsed(text) {
  try {
    return JSON.parse(text) || {};
  } catch {
    return {};
  }
}

const millis = (time) => (typeof time === "number" ? time : Date.parse(time) || 0);

function clock(time) {
  const at = new Date(millis(time));
  if (!millis(time)) return "";
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString("en-GB") : at.toLocaleDateString("en-GB");
}

const words = (key) => String(key).replaceAll("_", " ");

// Elements ----------------------------------------------------------------------------------

export function thread(now, before) {
  const had = new Set(before && before.visitor === now.visitor ? before.ids.map(keyOfId) : []);
  const node = (kind, label, id, note, fresh) => {
    const shown = make("code", "node-id", id);
    shown.title = id; // Why: long ids are cut off.
    return make(
      "li",
      `node node-${kind}${fresh ? " fresh" : ""}`,
      make("span", "node-label", label),
      shown,
      make("span", "node-note", note),
    );
  };
  const others = now.others > 0 ? `, one of ${now.others + 1} browsers` : "";
  const nodes = [node("visitor", "This browser", now.visitor, `since ${clock(now.firstSeen)}${others}`)];
  for (const id of now.ids) {
    const name = now.names[id.partner] || words(id.partner);
    const note = `seen ${clock(id.seen)}`;
    nodes.push(node("partner", `At ${name}`, id.id, note, before && !had.has(keyOfId(id))));
  }
  return [...nodes, customerNode(now, node, before)];
}

const keyOfId = (id) => `${id.partner} ${id.id}`;

function customerNode(now, node, before) {
  const link = now.links.find((each) => each.crm_id === now.crmId) || now.links[0];
  if (now.crmId) {
    const how = link ? `by ${words(link.method)}, ${clock(link.at)}` : "linked";
    return node("customer", "Customer", now.crmId, how, before && before.crmId !== now.crmId);
  }
  const why = link ? `${link.crm_id}: ${words(link.status)}` : "nobody has logged in here";
  return node("nobody", "Customer", "not known yet", why);
}

export function consent(now) {
  if (!now) return [nothing("No signal: the site's own default holds.")];
  const { explicit, ...rest } = now.signals;
  const answers = Object.entries(explicit || {}).map(([use, yes]) =>
    make("li", `chip ${yes ? "chip-yes" : "chip-no"}`, `${words(use)}: ${yes ? "yes" : "no"}`),
  );
  const others = Object.entries(rest)
    .filter(([, value]) => value !== "" && value !== null && value !== false)
    .filter(([, value]) => !Array.isArray(value) || value.length)
    .map(([name, value]) => make("li", "chip", `${words(name)}: ${short(value)}`));
  const chips = [...answers, ...others];
  return chips.length ? [make("ul", "chips", ...chips)] : [nothing("No signal was sent.")];
}

const short = (value) => (String(value).length > 14 ? `${String(value).slice(0, 12)}...` : String(value));

export function traits(now) {
  const names = Object.keys(now).sort((a, b) => (b === "rfm_segment") - (a === "rfm_segment"));
  if (!names.length) return [nothing("None. Traits come with the customer.")];
  const rows = names.map((name) =>
    make(
      "div",
      name === "rfm_segment" ? "trait trait-star" : "trait",
      make("dt", "", words(name)),
      make("dd", "", [].concat(now[name]).join(", ")),
    ),
  );
  return [make("dl", "traits", ...rows)];
}

export function audiences(now, before) {
  if (!now.all.length) return [nothing("In none so far.")];
  const had = new Set(before ? before.all : now.all);
  const chips = now.all.map((key) => {
    const chip = make("li", `chip chip-audience${had.has(key) ? "" : " fresh"}`, words(key));
    if (now.me.includes(key)) chip.append(make("span", "chip-note", "shown to the shop"));
    return chip;
  });
  return [make("ul", "chips", ...chips)];
}

export function reach({ partners, names }) {
  if (!partners.length) return [nothing("No partner is switched on.")];
  const chips = partners.map(({ partner, status }) => {
    const yes = status === "addressable";
    const text = `${names[partner] || words(partner)}: ${words(status)}`;
    return make("li", `chip ${yes ? "chip-yes" : "chip-no"}`, text);
  });
  return [make("ul", "chips", ...chips)];
}

export function exports(now) {
  if (!now.length) return [nothing("No seat holds an id of this person.")];
  const chips = now.map(({ seat, segment }) => make("li", "chip", `${seat}: segment ${segment}`));
  return [make("ul", "chips", ...chips)];
}

export function events(now, before) {
  if (!now.length) return [nothing("Nothing has happened yet.")];
  const had = new Set((before || now).map((event) => JSON.stringify(event)));
  const rows = now.map((event) =>
    make(
      "li",
      `event${had.has(JSON.stringify(event)) ? "" : " fresh"}`,
      make("time", "event-time", clock(event.at)),
      make("span", "event-name", titleOf(event)),
      make("span", "event-note", noteOf(event)),
    ),
  );
  return [make("ol", "events", ...rows)];
}

const TITLES = { page: "Page viewed", identify: "Named itself" };

const titleOf = ({ event, type }) => TITLES[event || type || "page"] || event || type;

function noteOf({ properties }) {
  const about = typeof properties === "string" ? parsed(properties) : properties || {};
  if (about.total !== undefined) return `${about.total} ${about.currency || ""}`;
  // Why the title: the pages of a shop that is one application differ in nothing else that is short.
  return about.name || String(about.title || "").split(" - ")[0] || about.path || "";
}

const nothing = (text) => make("p", "nothing", text);
