"""Commands about people and what is known of them: import and privacy."""

from pathlib import Path

import click

from service.api_client import ApiClient
from service.cli_import_report import facts_of, print_report
from service.cli_output import print_facts, print_json, progress, say, stdout, table_of
from service.cli_session import PartlyDoneError, json_option, site_option, with_api
from service.import_files import ImportOptions, Kind, file_size, import_file, write_rejects


@click.command("import")
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@site_option
@click.option(
    "--source",
    default="crm",
    show_default=True,
    help="Which CRM the customers are of, or which third party says these traits.",
)
@click.option("--dry-run", is_flag=True, help="Read customers and tell, but store nothing.")
@click.option(
    "--delete-missing", is_flag=True, help="Who is not in the file loses what it said of them."
)
@click.option("--force", is_flag=True, help="Also where more than a tenth is missing.")
@json_option
@with_api
def import_(
    api: ApiClient,
    kind: str,
    file: Path,
    site: str,
    source: str,
    dry_run: bool,
    delete_missing: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Import customers, events (Segment messages) or traits from CSV, NDJSON or Parquet.

    Refused rows go to FILE.rejects.csv with their line and reason; the exit code is then 4.
    """
    options = ImportOptions(
        source=source, dry_run=dry_run, delete_missing=delete_missing, force=force
    )
    allowed = ImportOptions(source=source if kind == Kind.TRAITS else "crm")
    if kind != Kind.CUSTOMERS and options != allowed:
        raise click.UsageError("--source is for customers and traits, the others for customers")
    with progress(f"{kind} from {file.name}", file_size_of(file)) as advance:
        done = import_file(api, Kind(kind), file, site=site, on_progress=advance, options=options)
    if as_json:
        print_json(facts_of(file, done) | done.report)
    else:
        print_report(file, done)
    if done.rejects:
        path = write_rejects(file, done.rejects)
        raise PartlyDoneError(
            f"{len(done.rejects):,} of {done.rows:,} rows were refused; see {path}"
        )
    missing = done.report.get("missing") or {}
    if missing.get("refused"):
        raise PartlyDoneError(missing["refused"])


def file_size_of(file: Path) -> int | None:
    """Measure a file for its bar; None when it cannot be measured, the import says why."""
    try:
        return file_size(file)
    except (OSError, ValueError):
        return None


@click.group()
def privacy() -> None:
    """Do what people may ask for: access, erasure, no more use."""


@privacy.command("access")
@click.argument("id_")
@with_api
def privacy_access(api: ApiClient, id_: str) -> None:
    """Write all that is held on a person, as JSON."""
    print_json(api.post("/api/privacy/access", {"id": id_}))


@privacy.command("erase")
@click.argument("id_")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@with_api
def privacy_erase(api: ApiClient, id_: str, yes: bool, as_json: bool) -> None:
    """Erase a person everywhere, seats included; this cannot be undone."""
    if not yes:
        click.confirm(f"Erase {id_} for ever?", abort=True, err=True)
    _print_answer(api.post("/api/privacy/erase", {"id": id_}), as_json=as_json)


@privacy.command("suppress")
@click.argument("id_")
@json_option
@with_api
def privacy_suppress(api: ApiClient, id_: str, as_json: bool) -> None:
    """Forbid any use of a person from now on, without erasing the past."""
    _print_answer(api.post("/api/privacy/suppress", {"id": id_}), as_json=as_json)


@privacy.command("lift")
@click.argument("id_")
@json_option
@with_api
def privacy_lift(api: ApiClient, id_: str, as_json: bool) -> None:
    """Take back a suppression, or let imports bring an erased id again."""
    _print_answer(api.post("/api/privacy/lift", {"id": id_}), as_json=as_json)


@privacy.command("receipts")
@json_option
@with_api
def privacy_receipts(api: ApiClient, as_json: bool) -> None:
    """List what was asked for and when it was done."""
    answer = api.get("/api/privacy/receipts")
    if as_json:
        print_json(answer)
        return
    rows = answer["receipts"]
    columns = [(name, name) for name in (rows[0] if rows else {})]
    stdout().print(table_of(rows, columns) if rows else "no receipts")


def _print_answer(answer: dict[str, object] | None, *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    elif answer:
        print_facts(answer)
    else:
        say("done")
