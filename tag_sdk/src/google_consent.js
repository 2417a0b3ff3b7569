/**
 * Google's consent mode as the page gives it: `gtag("consent", "default" | "update", {...})` in
 * `dataLayer`, both what is in it already and what is pushed later. A denial by default is a question
 * that is open, as consent platforms begin with it; a denial by update is the visitor's own word.
 */
export const WAITING = "waiting";

/** Which of Google's fields each of our uses needs. */
const FIELDS = {
  store: ["analytics_storage"],
  audiences: ["ad_storage", "ad_personalization"],
  sync: ["ad_storage"],
  personalise: ["ad_personalization"],
  ad_user_data: ["ad_user_data"],
  ad_personalization: ["ad_personalization"],
};
export const USES = Object.keys(FIELDS);

const words = {};
const updated = {};

/** Hear what a data layer says from now on, and what it has said. */
export function hearDataLayer(layer, changed) {
  const push = layer.push;
  layer.push = function (...entries) {
    const result = push.apply(layer, entries);
    entries.forEach(take);
    changed();
    return result;
  };
  [...layer].forEach(take);
}

/** True, false or WAITING for a use, or undefined when Google's fields for it were not named. */
export function googleSays(use) {
  const said = FIELDS[use].map((field) => words[field]);
  return [false, WAITING, undefined, true].find((word) => said.includes(word));
}

function take(entry) {
  if (!entry || entry[0] !== "consent") return;
  const given = entry[2] || {};
  for (const field in given) {
    const yes = given[field] === "granted";
    if (entry[1] === "update") {
      words[field] = yes;
      updated[field] = true;
    } else if (!updated[field]) {
      // Why not for regions: nobody knows here where the visitor is, so only their denials count.
      if (!yes) words[field] = WAITING;
      else if (!given.region && !words[field]) words[field] = true;
    }
  }
}
