"""Commands about lookalikes, and their report laid out for people."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from service.api_client import ApiClient
from service.cli_likeness import COMMANDS
from service.cli_output import as_count, bar, print_json, say, stdout, table_of
from service.cli_session import json_option, with_api

METHODS: Final = ["auto", "blend", "logodds", "iv", "lr", "minhash"]
NAMES: Final = {
    "minhash": "MinHash",
    "random": "by lot",
    "activity_only": "by activity alone",
    "logodds": "log-odds",
    "iv": "information",
    "lr": "regression",
    "blend": "blend",
}
BAR_WIDTH: Final = 14
TRAITS_SHOWN: Final = 12
LEFT_OUT_SHOWN: Final = 6
CURVE_SHOWN: Final = (1, 2, 3, 5, 7, 10)
SIZES: Final = ("size", "percent", "likeness")


def _seed_options(command: Any) -> Any:
    for option in (
        click.option(
            "--cut",
            type=click.DateTime(["%Y-%m-%d"]),
            help="Know nothing of this day and later; default: when the seed's events began.",
        ),
        click.option("--exclude", multiple=True, help="An audience to leave out; may be repeated."),
        click.option("--likeness", type=float, help="All who are so alike, from 0 to 1."),
        click.option("--percent", type=float, help="How many per cent of all people (default 5)."),
        click.option("--size", type=click.IntRange(1), help="How many people."),
        click.option("--method", type=click.Choice(METHODS), default="auto", show_default=True),
    ):
        command = option(command)
    return command


@click.group()
def lookalike() -> None:
    """People who resemble an audience."""


for _command in COMMANDS:
    lookalike.add_command(_command)


@lookalike.command("preview")
@click.argument("seed")
@_seed_options
@click.option("--quick", is_flag=True, help="Use the 200 traits that tell most.")
@click.option("--allow-small", is_flag=True, help="Take a seed of 20 to 99 people.")
@json_option
@with_api
def lookalike_preview(
    api: ApiClient, /, seed: str, quick: bool, allow_small: bool, as_json: bool, **options: Any
) -> None:
    """Say how well twins of the audience SEED can be told, by what, and whom seats reach."""
    flags = {"quick": quick, "allow_small": allow_small}
    asked = {**asked_of(seed, options), **{name: True for name, on in flags.items() if on}}
    report = api.post("/api/lookalikes/preview", asked)
    if as_json:
        print_json(report)
    else:
        stdout().print(report_of(report, f"Twins of {seed}"))


@lookalike.command("save")
@click.argument("key")
@click.argument("seed")
@click.option("--name", help="The audience's name; default: its key.")
@_seed_options
@json_option
@with_api
def lookalike_save(
    api: ApiClient, /, key: str, seed: str, name: str | None, as_json: bool, **options: Any
) -> None:
    """Make the audience KEY of twins of the audience SEED, and build it."""
    answer = api.put(f"/api/lookalikes/{key}", {"name": name or key, **asked_of(seed, options)})
    if as_json:
        print_json(answer)
        return
    if "report" in answer:
        stdout().print(report_of(answer["report"], name or key))
    say(f"{key} is saved and built")


def asked_of(seed: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Make the request of what the command line says; sizes that contradict are refused."""
    given = [f"--{name}" for name in SIZES if options[name] is not None]
    if len(given) > 1:
        raise click.UsageError(f"give one of {', '.join(given)}")
    asked = {"seed": seed, "method": options["method"]}
    asked |= {name: options[name] for name in SIZES if options[name] is not None}
    if options["exclude"]:
        asked["exclude"] = list(options["exclude"])
    cut: datetime | None = options["cut"]
    return asked if cut is None else {**asked, "cut": cut.date().isoformat()}


def report_of(report: Mapping[str, Any], name: str, *, traits_max: int = TRAITS_SHOWN) -> Group:
    """Lay a lookalike's report out: verdict, trials, curve, traits, single people, warnings."""
    is_distinctive = report["verdict"] == "distinctive"
    parts: list[RenderableType] = [
        Text.assemble(
            (name, "bold"),
            f"  {as_count(report['size'])} people like the {as_count(report['seed'])} of the seed, "
            f"each of likeness {report['likeness']:.2f} or more (method {report['method']})",
        ),
        Text(
            f"{report['verdict'].replace('_', ' ').capitalize()}. {report['verdict_text']}",
            style="green" if is_distinctive else "bold yellow",
        ),
        _trials_of(report),
        _curve_of(report),
        _traits_of(report, traits_max),
    ]
    if report["examples"]:
        people = [
            {"likeness": f"{each['likeness']:.2f}", "reasons": " · ".join(each["reasons"]) or "-"}
            for each in report["examples"]
        ]
        columns = [("likeness", "likeness"), ("reasons", "why some of them, best to last")]
        parts.append(table_of(people, columns))
    return Group(*parts, *_notes_of(report))


def _trials_of(report: Mapping[str, Any]) -> Table:
    """Lay out how much of the hidden seed each method found, the chosen one first."""
    rows = [
        {
            "method": ("> " if place == 0 else "  ") + NAMES.get(each["method"], each["method"]),
            **{name: _spread(each[name], digits) for name, digits in (("auc", 3), ("lift", 1))},
            "lift_at_5": _spread(each["lift_at_5"], 1),
            "recall": f"{each['recall']['mean']:.0%} ± {each['recall']['spread']:.0%}",
        }
        for place, each in enumerate(report["hold_out"])
    ]
    columns = [("method", "hidden seed people found"), ("auc", "AUC"), ("lift_at_5", "lift at 5 %")]
    columns += [("lift", "lift at this size"), ("recall", "recall at this size")]
    return table_of(rows, columns)


def _curve_of(report: Mapping[str, Any]) -> Table:
    """Lay out what more people cost in likeness, and how many of them each seat could be sent."""
    points = [each for each in report["curve"] if each["percent"] in CURVE_SHOWN]
    seats = list(points[0]["seats"]) if points else []
    rows = [
        {
            "percent": f"{each['percent']} %",
            "people": as_count(each["people"]),
            "likeness": f"{each['likeness']:.2f}",
            "bar": bar(each["likeness"], BAR_WIDTH),
            "recall": f"{each['recall']:.0%}",
            **{f"seat {seat}": as_count(each["seats"][seat]) for seat in seats},
        }
        for each in points
    ]
    columns = [("percent", "best"), ("people", "people"), ("likeness", "likeness"), ("bar", "")]
    columns += [("recall", "of the hidden"), *((f"seat {seat}", seat) for seat in seats)]
    return table_of(rows, columns)


def _traits_of(report: Mapping[str, Any], most: int) -> Table:
    rows = [
        {
            "trait": each["trait"],
            "seed": f"{each['share_in_seed']:.0%}",
            "all": f"{each['share_in_all']:.0%}",
            "lift": each["lift"],
            "weight": each["weight"],
        }
        for each in report["traits"][:most]
    ]
    columns = [("trait", "what makes them alike"), ("seed", "in seed"), ("all", "in all")]
    return table_of(rows, [*columns, ("lift", "lift"), ("weight", "weight")])


def _notes_of(report: Mapping[str, Any]) -> list[Text]:
    used = f"{report['traits_used']:,} traits used, {report['traits_rare']:,} too rare"
    notes = [Text(used, style="dim")]
    left_out = report["traits_left_out"]
    if left_out:
        shown = ", ".join(left_out[:LEFT_OUT_SHOWN])
        more = len(left_out) - LEFT_OUT_SHOWN
        text = f"left out, as they make the seed: {shown}" + (f" and {more} more" * (more > 0))
        notes.append(Text(text, style="dim"))
    warnings = (Text(f"warning: {each['text']}", style="yellow") for each in report["warnings"])
    return [*notes, *warnings]


def _spread(value: Mapping[str, float], digits: int) -> str:
    return f"{value['mean']:.{digits}f} ± {value['spread']:.{digits}f}"
