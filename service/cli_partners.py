"""Commands about partners: how their syncs come back, and a trial of one."""

from typing import Any

import click

from service.api_client import ApiClient
from service.cli_output import percent, print_facts, print_json, print_table, say
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
@json_option
@with_api
def partner_show(api: ApiClient, key: str, as_json: bool) -> None:
    """Show one partner: its callback, its counts, and its match rate by day and browser."""
    found = find_in(api.get("/api/partners")["partners"], key, "partner")
    if as_json:
        print_json(found)
        return
    print_facts({name: value for name, value in found.items() if name not in {"days", "browsers"}})
    for name in ("days", "browsers"):
        rows = [{**each, "rate": percent(each["match_rate"], 1.0)} for each in found[name]]
        columns = [("of", name), ("offered", "offered"), ("returned", "returned"), ("rate", "rate")]
        print_table(rows, columns)


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
