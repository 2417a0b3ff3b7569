"""The waterfalls of an export as bars: how an audience's people became those who are sent."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from service.cli_output import as_count, bar, percent, stdout

STAGES: Final = {
    "members": "members",
    "browsers": "with a browser",
    "live_ids": "with a live id",
    "consent": "consent allows",
    "suppression": "not suppressed",
    "hold_out": "not held out",
    "sent": "sent",
}


def print_waterfalls(segments: Sequence[Mapping[str, Any]]) -> None:
    """Write the waterfall of each segment that has one."""
    for segment in segments:
        if segment.get("waterfall"):
            stdout().print(waterfall_of_segment(segment))


def waterfall_of_segment(segment: Mapping[str, Any]) -> Group:
    """Lay out how many people are left after each stage, and what the others were lost by."""
    stages = segment["waterfall"]
    whole = stages[0]["people"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage")
    table.add_column("", no_wrap=True)
    for heading in ("people", "share"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("lost by", overflow="fold")
    for each in stages:
        lost = ", ".join(f"{part['reason']} {as_count(part['people'])}" for part in each["lost"])
        table.add_row(
            STAGES.get(each["stage"], each["stage"]),
            Text(bar((each["people"] or 0) / whole if whole else 0.0), style="cyan"),
            as_count(each["people"]),
            percent(each["people"], whole),
            lost,
        )
    title = Text.assemble(
        (f"{segment['audience']} on {segment['seat']}", "bold"),
        f"  segment {segment['segment']}, {as_count(segment.get('ids'))} ids",
    )
    return Group(title, table)
