"""Commands about likeness: people like one person, and sketches that two companies exchange."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from service.api_client import ApiClient
from service.cli_output import as_count, print_json, print_table, say, stdout
from service.cli_session import CommandError, json_option, with_api

NEIGHBOURS: Final = 20
NEIGHBOURS_MAX: Final = 1_000
IDENTITIES: Final = ["last_authenticated", "browser"]
READABLE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("like")
@click.argument("person")
@click.option(
    "--most",
    type=click.IntRange(1, NEIGHBOURS_MAX),
    default=NEIGHBOURS,
    show_default=True,
    help="So many people at most.",
)
@click.option("--identity", type=click.Choice(IDENTITIES), default=IDENTITIES[0], show_default=True)
@json_option
@with_api
def lookalike_like(api: ApiClient, person: str, most: int, identity: str, as_json: bool) -> None:
    """List the people most like PERSON: a CRM id, an e-mail, a visitor, a partner's id."""
    found = api.get(f"/api/lookalikes/like/{person}", {"most": most, "identity": identity})
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "person": each.get("crm_id") or f"visitor {each['visitor']}",
            "likeness": f"{each['likeness']:.2f}",
            "shared": " · ".join(each["shared"]) or "-",
        }
        for each in found["people"]
    ]
    if rows:
        columns = [("person", f"people like {person}"), ("likeness", "likeness")]
        print_table(rows, [*columns, ("shared", "the rarest that both have")])
    else:
        say(f"nobody is like {person}: too little is known of this person")


@click.command("sketch")
@click.argument("audience")
@click.option("--seat", required=True, help="The seat whose ids both companies know.")
@click.option(
    "--salt-file",
    required=True,
    type=READABLE,
    help="A file with the salt that both companies agreed upon, and nobody else knows.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the sketch.",
)
@with_api
def lookalike_sketch(api: ApiClient, audience: str, seat: str, salt_file: Path, out: Path) -> None:
    """Write a sketch of AUDIENCE, to compare with another company's without any id."""
    salt = salt_file.read_text(encoding="utf-8").strip()
    sketch = api.post("/api/lookalikes/sketch", {"audience": audience, "seat": seat, "salt": salt})
    out.write_text(json.dumps(sketch, indent=1) + "\n", encoding="utf-8")
    people = as_count(sketch["people"])
    say(f"{out}: a sketch of {people} ids of {sketch['id_space']}; it holds none of them")


@click.command("overlap")
@click.argument("ours", type=READABLE)
@click.argument("theirs", type=READABLE)
@json_option
@with_api
def lookalike_overlap(api: ApiClient, ours: Path, theirs: Path, as_json: bool) -> None:
    """Estimate how many people the sketches OURS and THEIRS share."""
    pair = {"ours": _read(ours), "theirs": _read(theirs)}
    found = api.post("/api/lookalikes/overlap", pair)
    if as_json:
        print_json(found)
        return
    stdout().print(
        f"{as_count(found['shared'])} people are in both, in 95 of 100 cases between "
        f"{as_count(found['shared_least'])} and {as_count(found['shared_most'])}: "
        f"{_share(found, 'ours', pair)} of ours, {_share(found, 'theirs', pair)} of theirs "
        f"(Jaccard {found['jaccard']:.3f}, {found['jaccard_least']:.3f} to "
        f"{found['jaccard_most']:.3f})"
    )


def _share(found: Mapping[str, Any], whose: str, pair: Mapping[str, Mapping[str, Any]]) -> str:
    people = pair[whose].get("people") or 1
    return f"{found['shared'] / people:.0%}"


def _read(path: Path) -> dict[str, Any]:
    try:
        sketch = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path}: is no sketch: {error}") from error
    if not isinstance(sketch, dict) or "signature" not in sketch:
        raise CommandError(f"{path}: is no sketch; `jumelle lookalike sketch AUDIENCE` writes one")
    return sketch


COMMANDS: Final = (lookalike_like, lookalike_sketch, lookalike_overlap)
