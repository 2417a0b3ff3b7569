/**
 * Who the page says is there: the customer's id and traits, the proof of it, and the reference by
 * which the server names this browser. The proof (a token) is kept in memory only.
 */
import { read, remove, write } from "./storage.js";

export const who = { userId: undefined, traits: {}, token: undefined, reference: undefined };

/** Bring back what an earlier page kept, unless this page already knows better. */
export function recall() {
  const user = read("user");
  if (user && who.userId === undefined) Object.assign(who, user);
  who.reference = who.reference || read("visitor");
  if (who.userId !== undefined) keepUser();
}

export function remember(userId, traits, token) {
  if (userId !== undefined && userId !== who.userId) forget();
  if (userId !== undefined) who.userId = userId;
  who.traits = { ...who.traits, ...traits };
  if (token) who.token = token;
  keepUser();
}

export function forget() {
  Object.assign(who, { userId: undefined, traits: {}, token: undefined });
  remove("user");
}

/** Take the reference the server sent; true when this browser got a new one. */
export function meet(reference) {
  if (!reference || reference === who.reference) return false;
  who.reference = reference;
  write("visitor", reference);
  return true;
}

function keepUser() {
  write("user", { userId: who.userId, traits: who.traits });
}
