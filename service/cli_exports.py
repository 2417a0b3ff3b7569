"""Commands about seats and what is sent to them."""

from typing import Any

import click

from service.api_client import ApiClient, run_of
from service.cli_output import print_facts, print_json, print_table, progress
from service.cli_session import CommandError, PartlyDoneError, json_option, with_api

FILES = [
    ("seat", "seat"),
    ("status", "status"),
    ("path", "file"),
    ("rows", "rows"),
    ("adds", "adds"),
    ("removes", "removes"),
    ("reason", "reason"),
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
    print_facts({name: value for name, value in found.items() if name != "activations"})
    columns = [("audience", "audience"), ("segment", "segment"), ("expires_days", "days")]
    print_table(found.get("activations", []), columns)


@click.group()
def export() -> None:
    """Files for the seats."""


@export.command("run")
@click.option("--seat", "seats", multiple=True, help="Only this seat; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Count what would be sent; write nothing.")
@json_option
@with_api
def export_run(api: ApiClient, seats: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Write the seats' files now and wait until they are published."""
    run = start_export(api, seats, dry_run=dry_run)
    with progress(f"export {run}", None):
        done = api.wait_for_export(run)
    if as_json:
        print_json(done)
    else:
        print_table(done["seats"], FILES)
    failed = [each["seat"] for each in done["seats"] if each["status"] == "failed"]
    if failed or done["status"] == "failed":
        whole = len(failed) == len(done["seats"])
        kind = CommandError if whole else PartlyDoneError
        raise kind(f"export {run}: failed for {', '.join(failed) or 'all seats'}")


def start_export(api: ApiClient, seats: tuple[str, ...], *, dry_run: bool = False) -> str | int:
    """Start an export of all seats, or of those named, and give its run."""
    asked: dict[str, Any] = {"dry_run": dry_run}
    if seats:
        asked["seats"] = list(seats)
    return run_of(api.post("/api/exports", asked))


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
    print_table(answer["exports"], columns)


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
    steps = [
        {"seat": of_seat["seat"], "audience": segment["audience"], "segment": segment["segment"]}
        | step
        for of_seat in done["seats"]
        for segment in of_seat.get("segments", [])
        for step in segment.get("waterfall", [])
    ]
    names = ("seat", "audience", "segment", "step", "people", "browsers", "ids")
    print_table(steps, [(name, name) for name in names])
