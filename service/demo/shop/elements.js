/** Makes and finds elements; text is always text, never markup. */

/** The element of this id, or an error that names it. */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element "${id}".`);
  return found;
}

/** A new element: `make("p", "quiet", "Hello ", make("strong", "", "Paul"))`. */
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** One of the drawings that `index.html` holds. */
export function picture(name, className) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", className);
  svg.setAttribute("viewBox", "0 0 160 110");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#picture-${name}`);
  svg.append(use);
  return svg;
}

/** A button that does something. */
export function button(className, text, action) {
  const element = make("button", className, text);
  element.type = "button";
  element.addEventListener("click", action);
  return element;
}

/** What is remembered between pages, where the browser allows it. */
export function remembered(area, key, value) {
  try {
    const store = window[area];
    if (value === undefined) return store.getItem(key);
    if (value === null) store.removeItem(key);
    else store.setItem(key, value);
  } catch {
    // Why: the shop works without memory, it only asks again.
  }
  return null;
}
