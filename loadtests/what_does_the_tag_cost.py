"""What does the tag cost the page? Beside others' npm builds, in the same browser, alternated.

Each is bundled by esbuild as a site would, and loaded into an empty page of a new profile; then a
page calls 100 events, one after another, each in a task of its own. Figures are medians: bytes of
what the page loads (gzip), the main thread's time from before the script until all is quiet and for
the events (DevTools' `TaskDuration` in CPU time, less that of the same page without a tag),
requests and bytes sent. npm fetches the others into a temporary folder; pages talk to loopback.
Run: `uv run python loadtests/THIS [--rounds N]`; `--row` writes its row into README.md.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from readme_row import write_row
from tag_costs.answering import Handler, Traffic, answering

PEERS: Final = {
    "plausible_tracker": "plausible-tracker@0.3.9",
    "plausible": "@plausible-analytics/tracker@0.4.6",
    "segment": "@segment/analytics-next@1.84.3",
    "rudderstack": "@rudderstack/analytics-js@3.34.1",
    "posthog": "posthog-js@1.449.2",
}
OURS: Final = "jumelle"
NOTHING: Final = "nothing"
BUNDLER: Final = "esbuild@0.28.2"
ENTRIES: Final = Path(__file__).parent / "tag_costs"
TAG: Final = Path(__file__).parents[1] / "tag_sdk" / "dist" / "jumelle.js"
OURS_SETTINGS: Final = 'window.__jumelle_settings={"key":"demo","host":"","autoPage":true};\n'
OURS_HAPPEN: Final = "\nwindow.happen = (name, properties) => jumelle.track(name, properties);\n"
EVENTS: Final = 100
# Why: some send nothing from a browser that says it is driven by a program.
FLAGS: Final = ["--no-sandbox", "--disable-blink-features=AutomationControlled"]
AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/145.0 Safari/537.36"
QUIET_S: Final = 1.5
QUIET_S_MAX: Final = 15
LOAD: Final = """
name => new Promise((done, failed) => {
  const script = document.createElement("script");
  script.src = `/${name}.js`;
  script.onload = done;
  script.onerror = failed;
  document.head.append(script);
})
"""
HAPPEN: Final = """
count => new Promise((done) => {
  const product = { product_id: "c-102", name: "Helmet", category: "cycling", price: "59.90" };
  let n = 0;
  const next = () => {
    if (n === count) return done();
    n += 1;
    if (window.happen) void window.happen("Product Viewed", { ...product, position: String(n) });
    setTimeout(next, 0);
  };
  next();
})
"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one tag cost one page."""

    loaded_bytes: int
    load_ms: float
    events_ms: float
    requests: int
    sent_bytes: int


def main() -> None:
    """Measure all of them round by round and print the table."""
    asked = arguments()
    folder = Path(tempfile.mkdtemp(prefix="jumelle-tag-cost-"))
    scripts = build(folder)
    scripts = {name: path for name, path in scripts.items() if name in {*asked.only, NOTHING}}
    runs: dict[str, list[Cost]] = {name: [] for name in scripts}
    with answering(scripts) as (url, handler), sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for at in range(asked.rounds):
            for name in [*list(scripts)[at % 2 :], *list(scripts)[: at % 2]]:
                runs[name].append(measure(browser, url, handler, name))
        browser.close()
    shutil.rmtree(folder, ignore_errors=True)
    costs = less_nothing({name: median(each) for name, each in runs.items()})
    print(table(costs))
    if asked.row:
        write_row(__file__, row_of(costs), *PEERS.values())


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", nargs="*", default=[OURS, *PEERS], help="these alone")
    parser.add_argument("--row", action="store_true")
    return parser.parse_args()


def build(folder: Path) -> dict[str, Path]:
    """Fetch the others and bundle them; give every script by its name."""
    (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    npm = ["npm", "install", "--no-audit", "--no-fund", "--silent", BUNDLER, *PEERS.values()]
    subprocess.run(npm, cwd=folder, check=True, stderr=subprocess.DEVNULL)
    entries, out = folder / "entries", folder / "out"
    entries.mkdir()
    for name in PEERS:
        shutil.copy(ENTRIES / f"{name}.js", entries)
    shutil.copy(ENTRIES / "bundle.mjs", folder)
    subprocess.run(["node", "bundle.mjs", "entries", "out"], cwd=folder, check=True)
    (out / f"{OURS}.js").write_text(OURS_SETTINGS + TAG.read_text() + OURS_HAPPEN)
    (out / f"{NOTHING}.js").write_text("")
    return {name: out / f"{name}.js" for name in (OURS, *PEERS, NOTHING)}


def measure(browser: Browser, url: str, handler: type[Handler], name: str) -> Cost:
    """Load one tag into a page of a new profile and let 100 events happen."""
    handler.traffic = traffic = Traffic()
    context = browser.new_context(user_agent=AGENT)
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    page.goto(url)
    page.wait_for_timeout(200)
    before = busy_ms(session)
    page.evaluate(LOAD, name)
    until_quiet(page, traffic)
    loaded, loaded_bytes = busy_ms(session), traffic.loaded_bytes
    page.evaluate(HAPPEN, EVENTS)
    until_quiet(page, traffic)
    done = busy_ms(session)
    context.close()
    return Cost(
        loaded_bytes=loaded_bytes,
        load_ms=loaded - before,
        events_ms=done - loaded,
        requests=traffic.requests,
        sent_bytes=traffic.sent_bytes,
    )


def busy_ms(session: CDPSession) -> float:
    """Give the CPU time of all tasks of the page's main thread."""
    found = session.send("Performance.getMetrics")["metrics"]
    return 1000 * float(next(each["value"] for each in found if each["name"] == "TaskDuration"))


def until_quiet(page: Page, traffic: Traffic) -> None:
    """Wait until nothing was asked or sent for a while; some wait for three seconds themselves."""
    end = time.monotonic() + QUIET_S_MAX
    page.wait_for_timeout(3500)
    seen = -1
    while seen != traffic.requests and time.monotonic() < end:
        seen = traffic.requests
        page.wait_for_timeout(QUIET_S * 1000)


def median(runs: list[Cost]) -> Cost:
    """Give the median of each figure."""
    return Cost(
        loaded_bytes=round(statistics.median(each.loaded_bytes for each in runs)),
        load_ms=statistics.median(each.load_ms for each in runs),
        events_ms=statistics.median(each.events_ms for each in runs),
        requests=round(statistics.median(each.requests for each in runs)),
        sent_bytes=round(statistics.median(each.sent_bytes for each in runs)),
    )


def less_nothing(costs: dict[str, Cost]) -> dict[str, Cost]:
    """Take away what the same page costs without a tag."""
    bare = costs.pop(NOTHING)
    return {
        name: Cost(
            loaded_bytes=each.loaded_bytes - bare.loaded_bytes,
            load_ms=each.load_ms - bare.load_ms,
            events_ms=each.events_ms - bare.events_ms,
            requests=each.requests - bare.requests,
            sent_bytes=each.sent_bytes,
        )
        for name, each in costs.items()
    }


def table(costs: dict[str, Cost]) -> str:
    """Write all figures as a table."""
    named = f"tag | bytes loaded (gzip) | CPU ms to load and start | CPU ms for {EVENTS} events"
    lines = [f"| {named} | requests | bytes sent |", "|---|---|---|---|---|---|"]
    for name, each in costs.items():
        figures = f"{each.loaded_bytes:,} | {each.load_ms:.1f} | {each.events_ms:.1f}"
        lines.append(
            f"| {PEERS.get(name, name)} | {figures} | {each.requests} | {each.sent_bytes:,} |"
        )
    return "\n".join(lines)


def row_of(costs: dict[str, Cost]) -> str:
    """Say everything in one line."""
    return "; ".join(
        f"{name} {each.loaded_bytes:,} B, {each.load_ms:.1f} CPU ms to start,"
        f" {each.events_ms:.1f} for {EVENTS} events, {each.requests} requests,"
        f" {each.sent_bytes:,} B sent"
        for name, each in costs.items()
    )


if __name__ == "__main__":
    main()
