"""The command that shows who is behind an id: the identity card, as a support person reads it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click
from rich.text import Text

from service.api_client import ApiClient
from service.cli_output import as_text, print_facts, print_json, print_table, stdout
from service.cli_session import json_option, with_api

EVENTS_SHOWN: Final = 20
ID_CHARACTERS: Final = 12
LINKED: Final = "linked"
GOOD: Final = frozenset({"addressable", "held", "next_export"})


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
    _print_person(card)
    _print_reach(card)
    for browser in card.get("visitors", []):
        _print_browser(browser)
    _print_not_linked(card.get("not_linked", []))
    _print_past(card)


def _print_person(card: Mapping[str, Any]) -> None:
    name = card.get("crm_id") or "a browser that is nobody's yet"
    stdout().print(Text.assemble((f"{card['person']} {name}", "bold")))
    answer = card.get("opt_in")
    facts: dict[str, Any] = {
        **(card.get("aliases") or {}),
        "opted in": _opt_in(answer) if answer else "never said",
        **{f"trait {name}": value for name, value in card.get("traits", {}).items()},
    }
    if card["person"] != "customer":
        del facts["opted in"]
    print_facts(facts)
    since = {each["audience"]: each for each in card.get("memberships", [])}
    rows = [{"name": key, "since": _since(since.get(key))} for key in card.get("audiences", [])]
    _print_rows(rows, [("name", "in the audience"), ("since", "since")], "in no audience")


def _print_reach(card: Mapping[str, Any]) -> None:
    """Say of every partner and seat whether the person can be sent, and why not."""
    columns = [
        ("where", "partner or seat"),
        ("mark", ""),
        ("status", "status"),
        ("reason", "why"),
        ("last_offered", "offered"),
        ("last_returned", "came back"),
        ("id", "as"),
        ("expires_at", "until"),
    ]
    rows = [_reach_row(each["partner"], each) for each in card.get("partners", [])] + [
        _reach_row(f"seat {each['seat']}", each) for each in card.get("seats", [])
    ]
    if rows:
        print_table(rows, columns)
    sent = [
        {**each, "seat": seat["seat"], "mark": "+" if each["status"] in GOOD else "-"}
        for seat in card.get("seats", [])
        for each in seat.get("audiences", [])
    ]
    if sent:
        columns = [
            ("seat", "on the seat"),
            ("audience", "audience"),
            ("segment", "segment"),
            ("mark", ""),
            ("reason", "what became of it"),
            ("last_sent", "last sent"),
        ]
        print_table(sent, columns)


def _reach_row(where: str, row: Mapping[str, Any]) -> dict[str, Any]:
    detail = row.get("detail") or {}
    reason = row.get("reason", "")
    if row["status"] == "refused_id" and detail.get("refusal"):
        reason = f"{reason} ({detail['refusal'].replace('_', ' ')})"
    times = {
        name: _day(detail.get(name)) for name in ("last_offered", "last_returned", "expires_at")
    }
    mark = "+" if row["status"] in GOOD else "-"
    return {
        "where": where,
        "mark": mark,
        "status": row["status"],
        "reason": reason,
        "id": detail.get("id"),
        **times,
    }


def _print_browser(browser: Mapping[str, Any]) -> None:
    """Show one browser: since when, whose, under which ids, and what it allowed."""
    title = Text.assemble(("browser ", "dim"), (browser["visitor"], "bold"))
    if browser.get("status") and browser["status"] != LINKED:
        title.append(f"  {browser['reason']}", style="yellow")
    stdout().print(title)
    print_facts(
        {
            "first seen": _moment(browser.get("first_seen")),
            "last seen": _moment(browser.get("last_seen")),
        }
    )
    _print_shared(browser)
    _print_links(browser.get("links", []))
    ids = [{**each, "seen": _day(each.get("seen"))} for each in browser.get("ids", [])]
    columns = [
        ("partner", "known to"),
        ("id_space", "id space"),
        ("id", "as"),
        ("seen", "confirmed"),
    ]
    _print_rows(ids, columns, "known to no partner")
    for each in browser.get("partners", []):
        if each["status"] != "addressable":
            stdout().print(Text(f"not at {each['partner']}: {each['reason']}", style="yellow"))
    consent = [_consent_row(each) for each in browser.get("consent", [])]
    columns = [
        ("at", "said on"),
        ("site", "site"),
        ("kinds", "by"),
        ("yes", "allows"),
        ("no", "denies"),
    ]
    _print_rows(consent, columns, "never said anything of consent: the site's default holds")


def _print_links(links: Sequence[Mapping[str, Any]]) -> None:
    rows = [{**each, "at": _moment(each.get("at"))} for each in links]
    columns = [
        ("crm_id", "customer"),
        ("method", "by"),
        ("proof", "proof"),
        ("strength", "strength"),
        ("at", "at"),
        ("site", "site"),
        ("reason", "what became of it"),
    ]
    if rows:
        print_table(rows, columns)


def _print_shared(browser: Mapping[str, Any]) -> None:
    shared = browser.get("shared")
    if shared:
        names = ", ".join(shared["customers"])
        more = "..." if shared["count"] > len(shared["customers"]) else ""
        stdout().print(
            f"used by {shared['count']} customers, more than {shared['limit']}: {names}{more}"
        )


def _print_not_linked(browsers: Sequence[Mapping[str, Any]]) -> None:
    """Show the browsers that named this person and are not its own."""
    if not browsers:
        return
    rows = [
        {
            "visitor": each["visitor"],
            "reason": each["reason"],
            "shared": f"{each['shared']['count']} customers" if each.get("shared") else "-",
            "at": _moment(max((link["at"] for link in each["links"]), default=None)),
        }
        for each in browsers
    ]
    columns = [
        ("visitor", "named it and is not its own"),
        ("reason", "why"),
        ("shared", "used by"),
        ("at", "last named"),
    ]
    print_table(rows, columns)


def _print_past(card: Mapping[str, Any]) -> None:
    held = card.get("exports", [])
    columns = [
        ("seat", "held by seat"),
        ("segment", "segment"),
        ("ids", "as"),
        ("last_sent", "last sent"),
    ]
    _print_rows(held, columns, "held by no seat")
    events = [{**each, "at": _moment(each["at"])} for each in card.get("events", [])[:EVENTS_SHOWN]]
    _print_rows(events, [("at", "at"), ("event", "event"), ("site", "site")], "no events")


def _print_rows(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]], nothing: str
) -> None:
    if rows:
        print_table(rows, columns)
    else:
        stdout().print(Text(nothing, style="dim"))


def _consent_row(said: Mapping[str, Any]) -> dict[str, Any]:
    uses = said.get("uses") or {}
    return {
        "at": _moment(said.get("at")),
        "site": said.get("site"),
        "kinds": list(said.get("kinds") or ["nothing"]),
        "yes": [use for use, answer in uses.items() if answer["allowed"]],
        "no": [use for use, answer in uses.items() if not answer["allowed"]],
    }


def _opt_in(answer: Mapping[str, Any]) -> str:
    said = "yes" if answer["value"] else "no"
    return f"{said}, since {_day(answer['at'])} ({answer['source']})"


def _since(row: Mapping[str, Any] | None) -> str:
    if not row or row.get("since") is None:
        return "not known"
    return f"{_day(row['since'])}{' or earlier' if row.get('or_earlier') else ''}"


def _moment(at_ms: Any) -> str:
    """Write a time to the minute, in UTC."""
    if not isinstance(at_ms, int):
        return as_text(at_ms)
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def _day(at_ms: Any) -> str:
    if not isinstance(at_ms, int):
        return as_text(at_ms)
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")
