/**
 * Takes the tokens of links out of the address bar, before anybody else can read them: `jml_link`
 * of the site's other domains, `jml_click` of a newsletter. Gives them as {link, click}.
 */
export function takeTokens() {
  const taken = {};
  try {
    const kept = location.search
      .slice(1)
      .split("&")
      .filter((part) => {
        const [, name, token] = /^jml_(link|click)=(.*)/.exec(part) || [];
        if (name) taken[name] = token;
        return !name;
      })
      .join("&");
    if (taken.link || taken.click) {
      const path = location.href.split("?")[0];
      history.replaceState(history.state, "", path + (kept && "?" + kept) + location.hash);
    }
  } catch (_) {
    // A page that may not change its address (a sandboxed one) keeps it.
  }
  return taken;
}
