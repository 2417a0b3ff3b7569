/**
 * Events for sites without code: an element with `data-jumelle-event` tracks its click, a form its
 * submission; its other `data-jumelle-` attributes are the properties.
 */
const PREFIX = "data-jumelle-";

export function watchElements(track) {
  const hear = ({ type, target }) => {
    const element = target.closest?.(`[${PREFIX}event]`);
    // Why: a click inside a form is not yet its submission.
    if (!element || (type === "submit") !== (element.tagName === "FORM")) return;
    const { event, ...properties } = Object.fromEntries(
      [...element.attributes]
        .filter(({ name }) => name.startsWith(PREFIX))
        .map(({ name, value }) => [name.slice(PREFIX.length), numberOr(value)]),
    );
    track(event, properties);
  };
  addEventListener("click", hear, true);
  addEventListener("submit", hear, true);
}

/** Ids such as 007 stay text: only what is written as numbers are is one. */
const numberOr = (text) => (isFinite(text) && String(Number(text)) === text ? Number(text) : text);
