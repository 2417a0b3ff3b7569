"""Commands about seats and what is sent to them."""

from typing import Any

import click

from service.api_client import ApiClient, run_of
from service.cli_output import print_facts, print_json, print_table, progress
from service.cli_session import CommandError, PartlyDoneError, json_option, with_api
from service.cli_waterfall import print_waterfalls

FILES = [
    ("seat", "seat"),
    ("status", "status"),
    ("path", "file"),
    ("rows", "rows"),
    ("adds", "adds"),
    ("removes", "removes"),
    ("reason", "reason"),
]
SEGMENTS = [
    ("seat", "seat"),
    ("audience", "audience"),
    ("segment", "segment"),
    ("status", "status"),
    ("adds", "adds"),
    ("removes", "removes"),
    ("refreshes", "refreshes"),
    ("held", "held then"),
]

ACTIVATED = [
    ("audience", "audience"),
    ("segment", "segment"),
    ("expires_days", "days"),
    ("holdout_percent", "held out %"),
    ("ids", "ids held"),
    ("sent_on", "sent on"),
]


@click.group()
def seat() -> None:
    """Accounts at DSPs that segments are sent to."""


@seat.command("list")
@json_option
@with_api
def seat_list(api: ApiClient, as_json: bool) -> None:
    """List all seats with what they hold."""
    answer = api.get("/api/seats")
    if as_json:
        print_json(answer)
        return
    rows = [
        {**each, "audiences": [active["audience"] for active in each.get("activations", [])]}
        for each in answer["seats"]
    ]
    names = ("key", "format", "mode", "min_size", "held", "audiences")
    print_table(rows, [(name, name.replace("_", " ")) for name in names])


@seat.command("show")
@click.argument("key")
@json_option
@with_api
def seat_show(api: ApiClient, key: str, as_json: bool) -> None:
    """Show one seat with its activations."""
    found = api.get(f"/api/seats/{key}")
    if as_json:
        print_json(found)
        return
    lists = {"activations", "segments", "questions"}
    facts = {name: value for name, value in found.items() if name not in lists}
    # Why text: a run is named by it, so it is copied, not read.
    print_facts(facts | {"published_run": str(found["published_run"] or "none")})
    print_table(_activated(found), ACTIVATED)
    for question in found["questions"]:
        click.echo(question)


def _activated(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Join what fills each segment and what the segment holds, withdrawn ones too."""
    held = {each["segment"]: each for each in found["segments"]}
    rows = [{**held.pop(each["segment"], {"ids": 0}), **each} for each in found["activations"]]
    return rows + [{**each, "audience": "(none: leaves)"} for each in held.values()]


@click.group()
def export() -> None:
    """Files for the seats."""


@export.command("run")
@click.argument("named", nargs=-1, metavar="[SEAT]...")
@click.option("--seat", "seats", multiple=True, help="The same as naming it; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Count what would be sent; write nothing.")
@click.option("--hold", is_flag=True, help="Put these seats on hold first: only removals go.")
@click.option("--release", is_flag=True, help="Lift holds and send what an alarm stopped.")
@click.option("--resend", is_flag=True, help="Send all that these seats should hold, in full.")
@json_option
@with_api
def export_run(
    api: ApiClient,
    named: tuple[str, ...],
    seats: tuple[str, ...],
    dry_run: bool,
    hold: bool,
    release: bool,
    resend: bool,
    as_json: bool,
) -> None:
    """Write the seats' files now and wait until they are published."""
    keys = tuple(dict.fromkeys((*named, *seats)))
    if not keys and (hold or release or resend):
        raise click.UsageError("name the seats to hold, to release or to send to again")
    wishes = {"hold": hold, "release": release, "resend": resend}
    started = _start(api, keys, dry_run=dry_run, wishes=wishes)
    run = run_of(started)
    with progress(f"export {run}", len(started.get("seats") or keys) or None) as advance:
        done = api.wait_for_export(run, lambda found: advance(len(found[0].get("seats", []))))
    if as_json:
        print_json(done)
    else:
        print_table(done["seats"], FILES)
        print_table(_segments(done), SEGMENTS)
    _check(run, done, is_held_by_hand=hold)


def _start(
    api: ApiClient, seats: tuple[str, ...], *, dry_run: bool, wishes: dict[str, bool]
) -> dict[str, Any]:
    asked: dict[str, Any] = {"dry_run": dry_run}
    asked |= {wish: True for wish, is_wanted in wishes.items() if is_wanted}
    if seats:
        asked["seats"] = list(seats)
    started: dict[str, Any] = api.post("/api/exports", asked)
    return started


def _segments(done: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {**segment, "seat": each["seat"]}
        for each in done["seats"]
        for segment in each.get("segments", [])
    ]


def _check(run: str | int, done: dict[str, Any], *, is_held_by_hand: bool) -> None:
    """End with the exit code of what failed or was held."""
    failed = [each["seat"] for each in done["seats"] if each["status"] == "failed"]
    if failed or done["status"] == "failed":
        whole = len(failed) == len(done["seats"])
        kind = CommandError if whole else PartlyDoneError
        raise kind(f"export {run}: failed for {', '.join(failed) or 'all seats'}")
    held = [each["seat"] for each in done["seats"] if each["status"] == "held"]
    if not held:
        return
    said = (
        f"export {run}: held for {', '.join(held)}; see why above, or what would go by "
        "`jumelle export run SEAT --dry-run --release`; let it go by `--release` alone"
    )
    if not is_held_by_hand:
        raise PartlyDoneError(said)
    click.echo(said, err=True)


@export.command("list")
@json_option
@with_api
def export_list(api: ApiClient, as_json: bool) -> None:
    """List the exports, newest first."""
    answer = api.get("/api/exports")
    if as_json:
        print_json(answer)
        return
    columns = [("run", "run"), ("seat", "seat"), ("status", "status"), ("at", "at")]
    # Why text: `export show` wants the number without commas.
    print_table([{**each, "run": str(each["run"])} for each in answer["exports"]], columns)


@export.command("show")
@click.argument("run")
@json_option
@with_api
def export_show(api: ApiClient, run: str, as_json: bool) -> None:
    """Show one export: each seat's file, and how its audiences became ids."""
    done = api.get(f"/api/exports/{run}")
    if as_json:
        print_json(done)
        return
    print_table(done["seats"], FILES)
    print_table(_segments(done), SEGMENTS)
    print_waterfalls(_segments(done))
