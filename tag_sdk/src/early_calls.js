/** The tag's calls, which an array keeps in order until the tag is there to run them. */
export const CALLS =
  "identify track page group alias reset consent anonymousId ready debug".split(" ");

/** Each call gives the promise that the tag will keep. */
export function keepCalls(jumelle) {
  if (jumelle.version || jumelle.track) return jumelle;
  CALLS.forEach((name) => {
    jumelle[name] = (...args) => {
      const call = [name, ...args];
      jumelle.push(call);
      return new Promise((done) => {
        call.done = done;
      });
    };
  });
  return jumelle;
}
