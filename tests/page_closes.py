"""Closes pages at random moments, in every way that a page can end, and says what must be stored.

Comes in: a seed, a browser and the page that makes events. Goes out: which events were queued and
when each page ended. An event is owed when it was queued at least 50 ms before; it must be stored
once, by the end of the browser's next visit. Events of the last moments may be stored or not.
"""

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, Page, async_playwright
from playwright.async_api import TimeoutError as PlaywrightTimeoutError
from real_browser import endpoint
from tag_world import Ports, chromium, page_url

OWED_MS: Final = 50
CLOSES_A_BROWSER: Final = 4
LATENCIES_MS: Final = (0, 0, 40, 200)
VISIT_MS: Final = 30_000
NOTHING_WAITS: Final = "() => !Object.keys(localStorage).some(key => key.includes(':queue.'))"


class Ending(StrEnum):
    """How a page ends."""

    CLOSED = "tab closed"
    LEFT = "navigated away"
    CRASHED = "tab crashed"
    KILLED = "browser killed"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One page: when its events are queued after it loaded, and when and how it ends."""

    number: int
    ending: Ending
    events_ms: tuple[int, ...]
    end_ms: int
    latency_ms: int


@dataclass(kw_only=True)
class Closed:
    """A page that ended: when each of its events was queued, and when it ended."""

    plan: Plan
    queued_ms: dict[int, float] = field(default_factory=dict)
    ended_ms: float = 0.0

    def owed(self) -> list[str]:
        """Name the events that must be stored."""
        return [_name(self.plan, n) for n, at in self.queued_ms.items() if self._early(at)]

    def late(self) -> list[str]:
        """Name the events of the last moments."""
        return [_name(self.plan, n) for n, at in self.queued_ms.items() if not self._early(at)]

    def _early(self, at_ms: float) -> bool:
        return self.ended_ms - at_ms >= OWED_MS


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What became of the events of one kind of ending."""

    ending: Ending
    closes: int
    owed: int
    lost: tuple[str, ...]
    doubled: tuple[str, ...]
    late: int
    late_stored: int


def make_plans(seed: int, counts: Mapping[Ending, int], *, first: int = 0) -> list[Plan]:
    """Make so many random closes of each kind, the kinds mixed, numbered from the first."""
    random_ = random.Random(seed)
    endings = [ending for ending, count in counts.items() for _ in range(count)]
    random_.shuffle(endings)
    return [_plan(number, ending, random_) for number, ending in enumerate(endings, first)]


async def close_pages(browser_at: str, plans: Sequence[Plan], *, at_once: int) -> list[Closed]:
    """Carry plans out in browser profiles that are new after every few of them."""
    turns = [plans[at : at + CLOSES_A_BROWSER] for at in range(0, len(plans), CLOSES_A_BROWSER)]
    door = asyncio.Semaphore(at_once)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(browser_at)

        async def take(turn: Sequence[Plan]) -> list[Closed]:
            async with door:
                context = await browser.new_context()
                found = [await _close(context, plan) for plan in turn]
                await context.close()
                return found

        done = await asyncio.gather(*(take(turn) for turn in turns))
        await browser.close()
    return [each for found in done for each in found]


async def kill_browsers(
    folder: Path, ports: Ports, certificate: Path, plans: Iterable[Plan]
) -> list[Closed]:
    """Carry plans out in one profile whose whole browser is killed each time."""
    found = []
    async with async_playwright() as playwright:
        for plan in plans:
            with chromium(folder, ports, certificate) as child:
                at = await asyncio.to_thread(endpoint, folder)
                browser = await playwright.chromium.connect_over_cdp(at)
                _, closed = await _open(browser.contexts[0], plan)
                await asyncio.sleep(plan.end_ms / 1000)
                closed.ended_ms = time.time() * 1000
                child.kill()
                found.append(closed)
                await asyncio.to_thread(child.wait)
                await asyncio.sleep(0.05)
            with chromium(folder, ports, certificate):
                at = await asyncio.to_thread(endpoint, folder)
                browser = await playwright.chromium.connect_over_cdp(at)
                await _visit_again(browser.contexts[0])
    return found


def figures(closed: Sequence[Closed], stored: Mapping[str, int]) -> list[Figure]:
    """Judge each kind of ending by what the database holds of every event."""
    found = []
    for ending in Ending:
        mine = [each for each in closed if each.plan.ending is ending]
        owed = [name for each in mine for name in each.owed()]
        late = [name for each in mine for name in each.late()]
        figure = Figure(
            ending=ending,
            closes=len(mine),
            owed=len(owed),
            lost=tuple(name for name in owed if name not in stored),
            doubled=tuple(name for name in owed + late if stored.get(name, 0) > 1),
            late=len(late),
            late_stored=sum(name in stored for name in late),
        )
        found.append(figure)
    return [each for each in found if each.closes]


def _name(plan: Plan, n: int) -> str:
    return f"Close {plan.number}.{n}"


def _plan(number: int, ending: Ending, random_: random.Random) -> Plan:
    end_ms = random_.randint(60, 600)
    events = [random_.randint(0, end_ms) for _ in range(random_.randint(1, 5))]
    # Why: what is due soonest before the end is in the greatest danger.
    events.append(end_ms - random_.randint(OWED_MS, 2 * OWED_MS))
    return Plan(
        number=number,
        ending=ending,
        events_ms=tuple(sorted(max(0, each) for each in events)),
        end_ms=end_ms,
        # Why none: it is made inside the browser, and would die with what was sent already.
        latency_ms=0 if ending is Ending.KILLED else random_.choice(LATENCIES_MS),
    )


async def _close(context: BrowserContext, plan: Plan) -> Closed:
    page, closed = await _open(context, plan)
    session = await context.new_cdp_session(page)
    await asyncio.sleep(plan.end_ms / 1000)
    closed.ended_ms = time.time() * 1000
    if plan.ending is Ending.CLOSED:
        await page.close()
    elif plan.ending is Ending.LEFT:
        await page.goto(page_url("without_tag"))
        await page.close()
    else:
        crash = asyncio.ensure_future(session.send("Page.crash"))
        await page.wait_for_event("crash")
        crash.cancel()
        await page.close()
    await _visit_again(context)
    return closed


async def _open(context: BrowserContext, plan: Plan) -> tuple[Page, Closed]:
    page, closed = await context.new_page(), Closed(plan=plan)

    def hear(text: str) -> None:
        if text.startswith("made "):
            _, n, at = text.split()
            closed.queued_ms[int(n)] = float(at)

    page.on("console", lambda line: hear(line.text))
    await page.goto(page_url("closing"))
    if plan.latency_ms:
        session = await context.new_cdp_session(page)
        slow = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
        await session.send("Network.emulateNetworkConditions", {**slow, "latency": plan.latency_ms})
    await page.evaluate("([number, ms]) => happen(number, ms)", [plan.number, list(plan.events_ms)])
    return page, closed


async def _visit_again(context: BrowserContext) -> None:
    """Come back, and stay until nothing waits any more."""
    page = await context.new_page()
    await page.goto(page_url("closing"), timeout=VISIT_MS)
    await page.evaluate("() => jumelle.track('Back')")
    with suppress(PlaywrightTimeoutError):  # Why: what still waits then is found to be lost.
        await page.wait_for_function(NOTHING_WAITS, timeout=VISIT_MS)
    await page.close()
