"""Commands about single people and what is known of them: import, identity, privacy."""

from pathlib import Path

import click

from service.api_client import ApiClient
from service.cli_output import print_facts, print_json, print_table, progress, say, stdout, table_of
from service.cli_session import PartlyDoneError, json_option, site_option, with_api
from service.import_files import Kind, file_size, import_file, write_rejects


@click.command("import")
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]))
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@site_option
@json_option
@with_api
def import_(api: ApiClient, kind: str, file: Path, site: str, as_json: bool) -> None:
    """Import customers, events (Segment messages) or traits from CSV, NDJSON or Parquet.

    Refused rows go to FILE.rejects.csv with their line and reason; the exit code is then 4.
    """
    with progress(f"{kind} from {file.name}", file_size_of(file)) as advance:
        done = import_file(api, Kind(kind), file, site=site, on_progress=advance)
    facts = {
        "file": str(file),
        "rows": done.rows,
        "imported": done.imported,
        "new_customers": done.new_customers,
        "traits": done.traits,
        "rejected": len(done.rejects),
    }
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)
    if done.rejects:
        path = write_rejects(file, done.rejects)
        raise PartlyDoneError(
            f"{len(done.rejects):,} of {done.rows:,} rows were refused; see {path}"
        )


def file_size_of(file: Path) -> int | None:
    """Measure a file for its bar; None when it cannot be measured, the import says why."""
    try:
        return file_size(file)
    except (OSError, ValueError):
        return None


@click.group()
def identity() -> None:
    """Who is behind an id."""


@identity.command("show")
@click.argument("id_")
@json_option
@with_api
def identity_show(api: ApiClient, id_: str, as_json: bool) -> None:
    """Show the card of a CRM id, a visitor or a partner's id."""
    card = api.get(f"/api/identity/{id_}")
    if as_json:
        print_json(card)
        return
    print_facts(
        {
            "person": card["person"],
            "crm_id": card.get("crm_id"),
            **{f"trait {name}": value for name, value in card.get("traits", {}).items()},
            "audiences": card.get("audiences", []),
        }
    )
    for visitor in card.get("visitors", []):
        print_facts({"visitor": visitor["visitor"], "last_seen": visitor.get("last_seen")})
        print_table(
            visitor.get("links", []),
            [("crm_id", "linked to"), ("method", "by"), ("at", "at"), ("status", "status")],
        )
        print_table(
            visitor.get("ids", []),
            [("partner", "known to"), ("id_space", "id space"), ("id", "as"), ("seen", "seen")],
        )
    print_table(card.get("partners", []), [("partner", "partner"), ("status", "status")])
    print_table(card.get("events", []), [("at", "at"), ("event", "event"), ("site", "site")])
    print_table(
        card.get("exports", []),
        [("seat", "held by seat"), ("segment", "segment"), ("held_since", "since")],
    )


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
