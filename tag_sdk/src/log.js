/** Says on the console what the tag does, once somebody asked for it with `jumelle.debug(true)`. */
let loud = false;

export const debugging = () => loud;

export function debug(on) {
  loud = on !== false;
}

export function log(...words) {
  if (loud) console.log("[jumelle]", ...words);
}
