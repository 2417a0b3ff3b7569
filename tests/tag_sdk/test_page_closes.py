"""Pages that end at random moments lose nothing that was queued 50 ms before."""

import asyncio
import random
from pathlib import Path
from typing import Final

import pytest
from page_closes import Closed, Ending, close_pages, figures, kill_browsers, make_plans
from tag_world import Ports, World

pytestmark = [pytest.mark.browser, pytest.mark.clickhouse, pytest.mark.slow]

CLOSES: Final = {Ending.CLOSED: 6, Ending.LEFT: 6, Ending.CRASHED: 3}
KILLS: Final = {Ending.KILLED: 1}
"""Of a thousand `how_many_events_survive_a_page_close.py` tells."""


def test_the_end_of_a_page_loses_nothing_that_was_queued(
    chromium_endpoint: str, tmp_path: Path, ports: Ports, certificate: Path, world: World
) -> None:
    """Sixteen pages are closed, left, crashed or killed: what was queued before is stored once.

    But for a browser that is killed as a whole: what it had neither sent nor written to disk, which
    it does when it likes, is lost to every script of a page.
    """
    seed = random.randrange(10**6)
    plans = make_plans(seed, CLOSES)
    kills = make_plans(seed, KILLS, first=len(plans))

    async def end_all() -> list[Closed]:
        closed, killed = await asyncio.gather(
            close_pages(chromium_endpoint, plans, at_once=4),
            kill_browsers(tmp_path / "killed", ports, certificate, kills),
        )
        return [*closed, *killed]

    closed = asyncio.run(end_all())
    for figure in figures(closed, world.counts()):
        assert figure.owed >= figure.closes
        assert figure.doubled == (), f"seed {seed}: {figure}"
        if figure.ending is not Ending.KILLED:
            assert figure.lost == (), f"seed {seed}: {figure}"
