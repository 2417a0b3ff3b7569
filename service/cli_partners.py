"""Commands about partners: how their syncs come back, and a trial of one."""

from typing import Any

import click
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from service.api_client import ApiClient
from service.cli_output import (
    as_count,
    bar,
    percent,
    print_facts,
    print_json,
    print_table,
    say,
    stdout,
)
from service.cli_session import CommandError, find_in, json_option, with_api

COUNTS = ("key", "standing", "direction", "offered", "returned", "refused", "match_rate")
KNOWN = [
    ("key", "partner"),
    ("direction", "direction"),
    ("token_place", "token comes back in"),
    ("ask", "to ask for"),
]


@click.group()
def partner() -> None:
    """Companies whose ids are exchanged."""


@partner.command("list")
@click.option("--known", is_flag=True, help="All partners that ship, and what to ask them for.")
@json_option
@with_api
def partner_list(api: ApiClient, known: bool, as_json: bool) -> None:
    """List the partners that are switched on with their match rates."""
    answer = api.get("/api/partners")
    if as_json:
        print_json({"known": answer["known"]} if known else {"partners": answer["partners"]})
        return
    if known:
        rows = [{**each, "ask": _asked(each)} for each in answer["known"]]
        print_table(rows, KNOWN)
        return
    print_table(answer["partners"], [(name, name.replace("_", " ")) for name in COUNTS])
    for each in answer["partners"]:
        if each["advice"]:
            say(f"{each['key']}: {each['advice']}")
        for name, question in each["ask"].items():
            say(f"{each['key']}: still to ask: {name}: {question}")


@partner.command("show")
@click.argument("key")
@click.option("--audience", default="", help="Whom of this audience it reaches, and by which seat.")
@json_option
@with_api
def partner_show(api: ApiClient, key: str, audience: str, as_json: bool) -> None:
    """Show one partner: counts, whom it reaches and why not all, match rate by day and browser."""
    answer = api.get("/api/partners", params={"audience": audience} if audience else None)
    found = find_in(answer["partners"], key, "partner")
    if as_json:
        print_json(found)
        return
    tables = {"days", "browsers", "waterfall", "seats"}
    facts = {name: value for name, value in found.items() if name not in tables and value != {}}
    refusals = {f"refused: {name}": count for name, count in facts.pop("refusals", {}).items()}
    print_facts(facts | refusals)
    of_whom = f" in the audience {audience}" if audience else ""
    whole = found.get("waterfall")
    if whole:
        print_waterfall(whole, f"{key} reaches", of_whom)
    for seat, waterfall in (found.get("seats") or {}).items():
        if waterfall == whole:
            stdout().print(f"its seat {seat} would be sent the same people")
        else:
            print_waterfall(waterfall, f"its seat {seat} would be sent", of_whom)
    for name in ("days", "browsers"):
        rows = [{**each, "rate": percent(each["match_rate"], 1.0)} for each in found[name]]
        columns = [("of", name), ("offered", "offered"), ("returned", "returned"), ("rate", "rate")]
        print_table(rows, columns)


def print_waterfall(waterfall: dict[str, Any], what: str, of_whom: str) -> None:
    """Write how many people are left after each gate that lost some, with bars."""
    people, reached = waterfall["people"], waterfall["addressable"]
    title = Text.assemble((f"{what} {as_count(reached)}", "bold"))
    title.append(f" of {as_count(people)} people ({percent(reached, people)}){of_whom}")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("lost because", overflow="fold", max_width=76)
    table.add_column("", no_wrap=True)
    for heading in ("left", "lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row("all", Text(bar(1.0), style="cyan"), as_count(people), "")
    for step in waterfall["steps"]:
        if step["lost"] == 0:
            continue
        share = (step["left"] or 0) / people if people else 0.0
        reason = Text.assemble(step["reason"], (f"  {step['status']}", "dim"))
        left, lost = as_count(step["left"]), f"-{as_count(step['lost'])}"
        table.add_row(reason, Text(bar(share), style="cyan"), left, lost)
    stdout().print(Group(title, table))


@partner.command("test")
@click.argument("key")
@json_option
@with_api
def partner_test(api: ApiClient, key: str, as_json: bool) -> None:
    """Play one sync with a partner now and say what came back; nothing is stored."""
    trial = api.post(f"/api/partners/{key}/test")
    if as_json:
        print_json(trial)
    else:
        print_table(trial["hops"], [("status", "status"), ("url", "called")])
        facts = ("outcome", "detail", "id", "id_status", "seconds")
        print_facts({name: trial[name] for name in facts})
    if not trial["good"]:
        raise CommandError(f"partner {key}: {trial['detail']}")


def _asked(known: dict[str, Any]) -> str:
    return "; ".join(f"{name}: {question}" for name, question in known["ask"].items())
