"""How commands speak: data as tables or JSON on stdout; messages and progress on stderr.

Colours and line drawing appear on terminals only; a pipe gets wide plain tables or, with `--json`,
one JSON value.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import msgspec
from rich import box
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 200
BAR_WIDTH = 28
TIMES = frozenset({"at", "seen", "first_seen", "last_seen", "built_at", "last_returned"})
EIGHTHS = " ▏▎▍▌▋▊▉"

Advance = Callable[[int], None]
Column = tuple[str, str]


def stdout() -> Console:
    """Open the console for data."""
    return Console(
        file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH
    )


def stderr() -> Console:
    """Open the console for messages."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def say(message: str) -> None:
    """Tell the user something that is not data."""
    stderr().print(message, markup=False)


def print_json(value: Any) -> None:
    """Write one JSON value, indented."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    """Write rows as a table; a column is the field's name and the heading."""
    stdout().print(table_of(rows, columns))


def print_facts(facts: Mapping[str, Any]) -> None:
    """Write one thing as lines of name and value."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts.items():
        grid.add_row(name, Text(_cell(name, value)))
    stdout().print(grid)


def table_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> Table:
    """Lay rows out as a table; numbers stand to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, heading in columns:
        numbers = name not in TIMES and any(isinstance(row.get(name), int | float) for row in rows)
        table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(name, row.get(name))) for name, _ in columns))
    return table


def as_text(value: Any) -> str:
    """Write any JSON value for people."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.3g}" if abs(value) < 1 else f"{value:,.2f}"
    if isinstance(value, str):
        return value
    if isinstance(value, list) and not any(isinstance(part, dict | list) for part in value):
        return ", ".join(as_text(part) for part in value) or "-"
    return msgspec.json.encode(value).decode()


def as_time(at_ms: int) -> str:
    """Write a time of the API, milliseconds since the epoch, in UTC."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def bar(share: float, width: int = BAR_WIDTH) -> str:
    """Draw a share between 0 and 1 in eighths of a character."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    if share > 0 and eighths == 0:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)


def percent(part: float | None, whole: float | None) -> str:
    """Write a share as per cent, a dash where there is no whole or one of both is hidden."""
    return f"{100 * part / whole:.1f} %" if whole and part is not None else "-"


def as_count(count: int | None) -> str:
    """Write a count of people; the API hides small ones from keys that may not read people."""
    return f"{count:,}" if count is not None else "<20"


def print_preview(preview: Mapping[str, Any], name: str) -> None:
    """Write a preview: the waterfall with bars, then reach, seats, overlaps and warnings."""
    stdout().print(preview_of(preview, name))


def preview_of(preview: Mapping[str, Any], name: str) -> Group:
    """Lay a preview out."""
    size, base = preview["size"], preview["base"]
    title = Text.assemble(
        (name, "bold"),
        f"  {as_count(size)} of {as_count(base)} people ({percent(size, base)})",
        style="",
    )
    parts: list[RenderableType] = [title, waterfall_of(preview)]
    reach = preview.get("reach") or {}
    if reach:
        rows = [{"key": key, "people": people} for key, people in reach.items()]
        parts.append(_shares(rows, "reach by partner", size))
    seats = preview.get("seats") or {}
    if seats:
        rows = [{"key": key, **counts} for key, counts in seats.items()]
        parts.append(table_of(rows, [("key", "seat"), ("people", "people"), ("ids", "ids")]))
    overlaps = preview.get("overlaps") or []
    if overlaps:
        columns = [("audience", "overlaps with"), ("size", "people"), ("jaccard", "jaccard")]
        parts.append(table_of(overlaps, columns))
    parts.extend(
        Text(f"warning: {warning['text']}", style="yellow")
        for warning in preview.get("warnings") or []
    )
    return Group(*parts)


def waterfall_of(preview: Mapping[str, Any]) -> Table:
    """Lay out what each criterion keeps and loses, and what leaving it out would add."""
    added = {_label(step): step.get("added") for step in preview.get("leave_one_out") or []}
    base = preview["base"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("criterion", overflow="fold", max_width=58)
    table.add_column("", no_wrap=True)
    for heading in ("kept", "lost", "alone", "without it"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("everyone", Text(bar(1.0), style="cyan"), as_count(base), "", "", "")
    for step in preview.get("waterfall") or []:
        label = _label(step)
        more = added.get(label)
        table.add_row(
            Text(label),
            Text(bar((step["kept"] or 0) / base if base else 0.0), style="cyan"),
            as_count(step["kept"]),
            _signed("-", step["lost"]),
            as_count(step["size"]),
            "" if more is None else _signed("+", more),
        )
    return table


def _signed(sign: str, count: int | None) -> str:
    return as_count(count) if count == 0 else f"{sign}{as_count(count)}"


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show a bar on stderr; the value is called with how much is done so far."""
    console = stderr()
    with Progress(
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as shown:
        task = shown.add_task(label, total=total)
        yield lambda done: shown.update(task, completed=done)
        shown.update(task, total=total or 1, completed=total or 1)


def _shares(rows: Sequence[Mapping[str, Any]], heading: str, whole: int | None) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(heading)
    table.add_column("", no_wrap=True)
    table.add_column("people", justify="right")
    table.add_column("share", justify="right")
    for row in sorted(rows, key=lambda row: -(row["people"] or 0)):
        share = (row["people"] or 0) / whole if whole else 0.0
        table.add_row(
            row["key"],
            Text(bar(share), style="green"),
            as_count(row["people"]),
            percent(row["people"], whole),
        )
    return table


def _cell(name: str, value: Any) -> str:
    if name in TIMES and isinstance(value, int):
        return as_time(value)
    return as_text(value)


def _label(step: Mapping[str, Any]) -> str:
    return as_text(step.get("criterion"))
