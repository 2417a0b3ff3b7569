/**
 * Reads arguments as analytics.js takes them: up to `count` texts, then two objects (properties or
 * traits, and options) and a callback. Each may be left out, or null to keep its place.
 */
export function sorted(given, count) {
  const texts = [];
  const objects = [];
  let callback;
  for (const each of given) {
    if (typeof each === "function") callback = callback || each;
    else if (isObject(each) || texts.length === count || objects.length) objects.push(each);
    else texts.push(textOf(each));
  }
  const [facts, options] = [0, 1].map((at) => (isObject(objects[at]) ? objects[at] : {}));
  return { texts, facts, options, callback };
}

const isObject = (value) => typeof value === "object" && value !== null;

const textOf = (value) => (value == null || value === "" ? undefined : String(value));
