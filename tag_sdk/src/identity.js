/**
 * Who the page says is there: the customer's id, the proof of it, and the reference by which the
 * server names this browser. The proof (a token) is kept in memory only, traits are not kept at all.
 */
import { read, remove, write } from "./storage.js";

export const who = { userId: undefined, token: undefined, reference: undefined };

/** Bring back what an earlier page kept, unless this page already knows better. */
export function recall() {
  const user = read("user");
  if (user && who.userId === undefined) who.userId = user.userId;
  who.reference = who.reference || read("visitor");
  keepUser();
}

export function remember(userId, token) {
  if (userId !== undefined && userId !== who.userId) forget();
  if (userId !== undefined) who.userId = userId;
  if (token) who.token = token;
  keepUser();
}

export function forget() {
  who.userId = who.token = undefined;
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
  if (who.userId !== undefined) write("user", { userId: who.userId });
}
