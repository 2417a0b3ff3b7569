"""What the demo tells at the end: the JSON object of the public interface, or pages for a marketer.

Everything in `Summary` is read back from the API, nothing is what the players believe they did.
"""

import gzip
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.text import Text

from service.api_client import ApiClient
from service.cli_lookalikes import report_of
from service.cli_output import (
    as_text,
    bar,
    percent,
    preview_of,
    print_json,
    stdout,
    table_of,
)
from service.demo.browsers import Consent, Link
from service.demo.households import Purchases
from service.demo.visits import Played

FIRST_LINES: Final = 3
LINE_CHARS_MAX: Final = 110


class PartnerResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one partner's syncs went."""

    key: str
    sent: int
    returned: int
    match_rate: float


class SeatReach(msgspec.Struct, frozen=True, kw_only=True):
    """Whom of an audience a seat can reach, and by how many ids."""

    people: int
    ids: int


class AudienceResult(msgspec.Struct, frozen=True, kw_only=True):
    """One audience with what each seat can reach of it."""

    key: str
    size: int
    seats: dict[str, SeatReach]


class SeatFile(msgspec.Struct, frozen=True, kw_only=True):
    """One seat's file; `path` is None when nothing was written."""

    seat: str
    path: str | None
    rows: int
    adds: int
    removes: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What `jumelle demo --json` prints."""

    people: int
    visitors: int
    customers: int
    events: int
    seconds: float
    partners: list[PartnerResult]
    audiences: list[AudienceResult]
    files: list[SeatFile]


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages show beyond the summary."""

    purchases: Purchases
    played: Played
    previews: dict[str, dict[str, Any]]
    lookalike: dict[str, Any] | None
    """None where no audience has enough people for a seed."""
    names: dict[str, str]


def gather_summary(api: ApiClient, *, export: dict[str, Any], seconds: float) -> Summary:
    """Read the state of the service back."""
    everyone = {"type": "everyone"}
    audiences = api.get("/api/audiences")["audiences"]
    return Summary(
        people=api.post("/api/preview", {"rule": everyone})["base"],
        visitors=api.post("/api/preview", {"rule": everyone, "identity": "browser"})["base"],
        customers=api.post("/api/preview", {"rule": {"type": "identified"}})["size"],
        events=sum(row["count"] for row in api.get("/api/events/catalogue")["events"]),
        seconds=round(seconds, 1),
        partners=[_partner(row) for row in api.get("/api/partners")["partners"]],
        audiences=[_audience(api, audience["key"]) for audience in audiences],
        files=[_file(seat) for seat in export["seats"]],
    )


def print_summary(summary: Summary, story: Story | None, *, as_json: bool) -> None:
    """Write the summary on stdout; without a story, only its tables."""
    if as_json:
        print_json(summary)
        return
    parts: list[RenderableType] = [_headline(summary, story), *_partners(summary)]
    if story is not None:
        parts += [Rule("What an audience costs", style="dim"), _dearest_preview(story)]
    parts += _audiences(summary, {} if story is None else story.names)
    if story is not None and story.lookalike is not None:
        twins = report_of(story.lookalike, "Lookalike", traits_max=8)
        parts += [Rule("Their twins", style="dim"), twins]
    stdout().print(Group(*parts, *_files(summary)))


def _partner(row: dict[str, Any]) -> PartnerResult:
    return PartnerResult(
        key=row["key"],
        sent=row["offered"],
        returned=row["returned"],
        match_rate=round(row["match_rate"] or 0.0, 4),
    )


def _audience(api: ApiClient, key: str) -> AudienceResult:
    preview = api.post("/api/preview", {"rule": {"type": "in_audience", "audience": key}})
    seats = {
        seat: SeatReach(people=counts["people"], ids=counts["ids"])
        for seat, counts in preview["seats"].items()
    }
    return AudienceResult(key=key, size=preview["size"], seats=seats)


def _file(seat: dict[str, Any]) -> SeatFile:
    return SeatFile(
        seat=seat["seat"],
        path=seat.get("path") or None,
        rows=seat.get("rows") or 0,
        adds=seat.get("adds") or 0,
        removes=seat.get("removes") or 0,
    )


def _headline(summary: Summary, story: Story | None) -> Group:
    lines: list[RenderableType] = [
        Rule("Jumelle, from a year of real purchases to seat files", style="bold"),
        Text.assemble(
            (f"{summary.people:,}", "bold"),
            " people: ",
            (f"{summary.customers:,}", "bold"),
            " customers and the unknown among ",
            (f"{summary.visitors:,}", "bold"),
            " browsers, ",
            (f"{summary.events:,}", "bold"),
            f" events, in {summary.seconds:.0f} s",
        ),
    ]
    if story is not None:
        lines.append(Text(_what_was_played(story), style="dim"))
    return Group(*lines)


def _what_was_played(story: Story) -> str:
    purchases, played = story.purchases, story.played
    known = ", ".join(
        f"{count:,} by {link}"
        for link, count in sorted(played.links.items())
        if link is not Link.NONE
    )
    return (
        f"{len(purchases.orders):,} orders of {purchases.lines:,} lines "
        f"({purchases.lines_skipped:,} lines without a quantity skipped), moved by "
        f"{purchases.shifted_days:,} days. Browsers became known: {known}; "
        f"{played.links[Link.NONE]:,} stay unknown, {played.left:,} left before any sync, "
        f"{played.consents.total() - played.consents[Consent.GIVEN]:,} refused syncs."
    )


def _partners(summary: Summary) -> list[RenderableType]:
    rows = [
        {
            "key": partner.key,
            "bar": bar(partner.match_rate),
            "rate": percent(partner.match_rate, 1.0),
            "sent": partner.sent,
            "returned": partner.returned,
        }
        for partner in summary.partners
    ]
    columns = [("key", "partner"), ("bar", ""), ("rate", "match rate"), ("sent", "syncs sent")]
    return [
        Rule("Who knows our browsers", style="dim"),
        table_of(rows, [*columns, ("returned", "came home")]),
    ]


def _dearest_preview(story: Story) -> RenderableType:
    """Show the rule with the most criteria: there the waterfall tells most."""
    key = max(story.previews, key=lambda key: len(story.previews[key].get("waterfall") or []))
    return preview_of(story.previews[key], story.names.get(key, key))


def _audiences(summary: Summary, names: dict[str, str]) -> list[RenderableType]:
    seats = sorted({seat for audience in summary.audiences for seat in audience.seats})
    rows = [
        {"name": names.get(audience.key, audience.key), "size": audience.size}
        | {seat: _reach(audience, seat) for seat in seats}
        for audience in summary.audiences
    ]
    columns = [("name", "audience"), ("size", "people"), *((seat, seat) for seat in seats)]
    return [
        Rule("Audiences, and whom each seat can reach", style="dim"),
        table_of(rows, columns),
    ]


def _reach(audience: AudienceResult, seat: str) -> str:
    found = audience.seats.get(seat)
    if found is None:
        return "-"
    return f"{found.people:,} people ({percent(found.people, audience.size)}), {found.ids:,} ids"


def _files(summary: Summary) -> list[RenderableType]:
    parts: list[RenderableType] = [Rule("What the seats receive", style="dim")]
    for file in summary.files:
        parts.append(
            Text.assemble(
                (file.seat, "bold"),
                f"  {as_text(file.path)}  {file.rows:,} rows, {file.adds:,} to add, "
                f"{file.removes:,} to remove",
            )
        )
        if file.path is not None:
            parts += [Text(f"    {line}", style="dim") for line in _first_lines(Path(file.path))]
    return parts


def _first_lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    open_file = gzip.open if path.suffix == ".gz" else open
    with open_file(path, "rb") as file:
        lines = [file.readline(10_000) for _ in range(FIRST_LINES)]
    texts = [line.decode("utf-8", "replace").rstrip() for line in lines if line]
    return [
        text if len(text) <= LINE_CHARS_MAX else f"{text[:LINE_CHARS_MAX]}..." for text in texts
    ]
