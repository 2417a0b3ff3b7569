"""Commands for those who keep the service running: keys, jobs, refused records."""

from typing import Any

import click

from service.api_client import ApiClient, run_of
from service.cli_output import print_json, print_table, progress, say
from service.cli_session import CommandError, json_option, with_api

SCOPES = [
    "audiences:read",
    "audiences:write",
    "people:read",
    "exports:run",
    "customers:write",
    "privacy",
    "operation",
    "admin",
]
JOBS = [
    ("run", "run"),
    ("job", "job"),
    ("status", "status"),
    ("at", "at"),
    ("detail", "detail"),
]


@click.group()
def key() -> None:
    """Keys to the API."""


@key.command("create")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES))
@click.option("--site", "sites", multiple=True, help="Only for this site; may be repeated.")
@click.option("--name", default="", help="What the key is for.")
@json_option
@with_api
def key_create(
    api: ApiClient, scopes: tuple[str, ...], sites: tuple[str, ...], name: str, as_json: bool
) -> None:
    """Make an API key; it is shown once and kept only as a hash."""
    answer = api.post("/api/keys", {"name": name, "scopes": scopes, "sites": sites})
    if as_json:
        print_json(answer)
    else:
        say("Keep this key, it is not shown again:")
        click.echo(answer["key"])


@click.group()
def bad() -> None:
    """Look after records that could not be loaded."""


@bad.command("list")
@json_option
@with_api
def bad_list(api: ApiClient, as_json: bool) -> None:
    """List them with their reasons."""
    answer = api.get("/api/bad")
    if as_json:
        print_json(answer)
        return
    rows = answer["bad"]
    print_table(rows, [(name, name) for name in (rows[0] if rows else {"reason": ""})])


@bad.command("replay")
@json_option
@with_api
def bad_replay(api: ApiClient, as_json: bool) -> None:
    """Try them again; each is put back once, and what fails again is a new bad record."""
    replayed = 0
    while count := api.post("/api/bad/replay")["replayed"]:
        replayed += count
    if as_json:
        print_json({"replayed": replayed})
    else:
        click.echo(f"{replayed} records are tried again")


@click.group()
def jobs() -> None:
    """Work that the service does by itself."""


@jobs.command("list")
@click.option("--run", help="Only this run.")
@json_option
@with_api
def jobs_list(api: ApiClient, run: str | None, as_json: bool) -> None:
    """List what was done lately."""
    answer = api.get("/api/jobs", {"run": run})
    if as_json:
        print_json(answer)
    else:
        print_table(answer["jobs"], JOBS)


@jobs.command("run")
@click.argument("job")
@json_option
@with_api
def jobs_run(api: ApiClient, job: str, as_json: bool) -> None:
    """Run a job now and wait for its end; `load` takes in all that was received."""
    _show_jobs(_run_and_wait(api, f"/api/jobs/{job}/run", job), as_json=as_json)


def _run_and_wait(api: ApiClient, path: str, label: str) -> list[dict[str, Any]]:
    run = run_of(api.post(path))
    with progress(label, None):
        return api.wait_for_jobs(run)


def _show_jobs(done: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(done)
    else:
        print_table(done, JOBS)
    failed = [job for job in done if job["status"] != "ok"]
    if failed:
        raise CommandError(f"{failed[0]['job']} failed: {failed[0].get('detail') or 'no reason'}")
