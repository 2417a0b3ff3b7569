"""Commands about audiences; those about lookalikes are in `cli_lookalikes`."""

import sys
from pathlib import Path
from typing import Any

import click

from service.api_client import ApiClient, run_of
from service.audience_files import plain, plan, put_audience, read_audience, read_folder
from service.cli_lookalikes import lookalike
from service.cli_output import (
    print_facts,
    print_json,
    print_preview,
    print_table,
    progress,
    say,
)
from service.cli_session import CommandError, PartlyDoneError, json_option, with_api

__all__ = ["audience", "build", "lookalike"]

LIST = [
    ("key", "key"),
    ("name", "name"),
    ("size", "people"),
    ("status", "status"),
    ("built_at", "built"),
    ("identity", "identity"),
]


@click.group()
def audience() -> None:
    """Named rules and the people who fit them."""


@audience.command("list")
@json_option
@with_api
def audience_list(api: ApiClient, as_json: bool) -> None:
    """List all audiences with their sizes."""
    answer = api.get("/api/audiences")
    if as_json:
        print_json(answer)
    else:
        print_table(answer["audiences"], LIST)


@audience.command("show")
@click.argument("key")
@json_option
@with_api
def audience_show(api: ApiClient, key: str, as_json: bool) -> None:
    """Show one audience with its rule."""
    answer = api.get(f"/api/audiences/{key}")
    if as_json:
        print_json(answer)
    else:
        print_facts(answer)


@audience.command("preview")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@json_option
@with_api
def audience_preview(api: ApiClient, file: Path, as_json: bool) -> None:
    """Count a rule's people: what each criterion costs and whom each partner reaches."""
    read = read_audience(file).audience
    if read.rule is None:
        raise click.UsageError(f"{file} holds a lookalike; use `jumelle lookalike preview`")
    asked = {name: value for name, value in plain(read).items() if name in {"rule", "identity"}}
    preview = api.post("/api/preview", asked)
    if as_json:
        print_json(preview)
    else:
        print_preview(preview, read.name)


@audience.command("plan")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
@with_api
def audience_plan(api: ApiClient, folder: Path, as_json: bool) -> None:
    """Say what applying a folder of audiences would change; nothing is changed."""
    planned = plan(read_folder(folder), api.get("/api/audiences")["audiences"])
    rows = [
        {"key": each.key, "change": each.change.value, "fields": each.fields} for each in planned
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, [("key", "audience"), ("change", "change"), ("fields", "differing")])


@audience.command("apply")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@json_option
@with_api
def audience_apply(api: ApiClient, folder: Path, as_json: bool) -> None:
    """Create and replace audiences as a folder says; none is deleted."""
    files = read_folder(folder)
    planned = {
        each.key: each.change for each in plan(files, api.get("/api/audiences")["audiences"])
    }
    for file in files:
        if planned[file.key] != "same":
            put_audience(api, file.audience)
            say(f"{file.key}: applied ({planned[file.key]})")
    rows = [{"key": file.key, "change": planned[file.key].value} for file in files]
    if as_json:
        print_json(rows)
    else:
        print_table(rows, [("key", "audience"), ("change", "change")])


@audience.command("build")
@click.argument("keys", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Build all audiences.")
@json_option
@with_api
def audience_build(api: ApiClient, keys: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Find the members of audiences anew and wait until they are built."""
    if every == bool(keys):
        raise click.UsageError("name the audiences to build, or give --all")
    if every:
        keys = tuple(each["key"] for each in api.get("/api/audiences")["audiences"])
    jobs = build(api, keys)
    if as_json:
        print_json(jobs)
    else:
        print_table(jobs, [("audience", "audience"), ("status", "status"), ("detail", "detail")])
    failed = [job["audience"] for job in jobs if job["status"] != "ok"]
    if failed:
        kind = CommandError if len(failed) == len(jobs) else PartlyDoneError
        raise kind(f"not built: {', '.join(failed)}; the old members stay")


def build(api: ApiClient, keys: tuple[str, ...]) -> list[dict[str, Any]]:
    """Build audiences one after the other, so that each sees those before it."""
    jobs: list[dict[str, Any]] = []
    with progress("building audiences", len(keys)) as advance:
        for done, key in enumerate(keys, start=1):
            run = run_of(api.post(f"/api/audiences/{key}/build"))
            jobs.extend({"audience": key, **job} for job in api.wait_for_jobs(run))
            advance(done)
    return jobs


@audience.command("members")
@click.argument("key")
@click.option(
    "--format",
    "form",
    type=click.Choice(["ndjson", "arrow"]),
    default="ndjson",
    show_default=True,
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: stdout.")
@with_api
def audience_members(api: ApiClient, key: str, form: str, output: Path | None) -> None:
    """Write the members of an audience."""
    pieces = api.stream(f"/api/audiences/{key}/members", {"format": form})
    if output is None:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        return
    with output.open("wb") as file:
        for piece in pieces:
            file.write(piece)


@audience.command("overlap")
@click.argument("keys", nargs=-1, required=True)
@json_option
@with_api
def audience_overlap(api: ApiClient, keys: tuple[str, ...], as_json: bool) -> None:
    """Say how many people each two of the audiences share."""
    answer = api.post("/api/overlap", {"audiences": list(keys)})
    if as_json:
        print_json(answer)
    else:
        columns = [("a", "audience"), ("b", "and"), ("size", "people"), ("jaccard", "jaccard")]
        print_table(answer["pairs"], columns)


@audience.command("activate")
@click.argument("key")
@click.argument("seat")
@click.option("--segment", help="The segment at the partner; default: the audience's key.")
@click.option("--expires-days", type=click.IntRange(1), default=30, show_default=True)
@click.option(
    "--holdout-percent",
    type=click.IntRange(0, 50),
    default=0,
    show_default=True,
    help="Keep so many of a hundred people off the segment, always the same ones.",
)
@click.option("--off", is_flag=True, help="Stop: the next export removes the ids from the seat.")
@with_api
def audience_activate(
    api: ApiClient,
    key: str,
    seat: str,
    segment: str | None,
    expires_days: int,
    holdout_percent: int,
    off: bool,
) -> None:
    """Send an audience to a seat with every export from now on."""
    path = f"/api/audiences/{key}/seats/{seat}"
    if off:
        api.delete(path)
        say(f"{key} is no longer active on {seat}; the next export removes it there")
        return
    asked = {"segment": segment or key, "expires_days": expires_days}
    api.put(path, asked | ({"holdout_percent": holdout_percent} if holdout_percent else {}))
    say(f"{key} is active on {seat} as segment {segment or key}")


@audience.command("delete")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_api
def audience_delete(api: ApiClient, key: str, yes: bool) -> None:
    """Delete an audience; the next export removes it from its seats."""
    if not yes:
        click.confirm(f"Delete audience {key}?", abort=True, err=True)
    api.delete(f"/api/audiences/{key}")
    say(f"{key} is deleted")
