/**
 * Anonymous mode, off unless the site wants it: while the question of consent is open, page views and
 * events go without name, cookie and storage, once. The answer to the question is awaited for a
 * moment first, so that who has said yes long ago is not counted as nobody.
 */
import { consentState, WAITING } from "./consent.js";
import { takeOut } from "./queue.js";
import { settings } from "./settings.js";
import { postMessages } from "./transport.js";

const ANSWER_AFTER_MS = 3000;

export function watchUnnamed() {
  if (settings.anonymous) setTimeout(sendUnnamed, ANSWER_AFTER_MS, true);
}

/** Send what waits and may go without a name, if it is time; it is for a page that is left. */
export async function sendUnnamed(now) {
  if (!settings.anonymous || consentState() !== WAITING) return;
  if (!now && performance.now() < ANSWER_AFTER_MS) return;
  const entries = takeOut(({ type }) => type === "page" || type === "track");
  if (!entries.length) return;
  const { status } = await postMessages(JSON.stringify(entries.map(unnamed)), "omit");
  entries.forEach((entry) => entry.done(status >= 200 && status < 300));
}

/** What is sent, and nothing else: the server refuses names here, too. */
function unnamed({ message }) {
  const { userId, anonymousId, integrations, context, ...told } = message;
  const { page, library } = context;
  return { ...told, context: { page, library, anonymous: true } };
}
