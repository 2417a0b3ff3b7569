"""The commands about lookalikes: what they ask the API, refuse, and print of the report."""

from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from service.cli_lookalikes import asked_of, lookalike, report_of

SPREAD = {"mean": 0.8123, "spread": 0.0211}
TRIAL = {"auc": SPREAD, "lift_at_5": SPREAD, "lift": SPREAD, "recall": SPREAD}
REPORT: dict[str, Any] = {
    "method": "blend",
    "seed": 412,
    "base": 20_000,
    "candidates": 19_588,
    "size": 1_000,
    "likeness": 0.7311,
    "hold_out": [{"method": name, **TRIAL} for name in ("blend", "minhash", "activity_only")],
    "verdict": "not_distinctive",
    "verdict_text": "This is no better than choosing heavy visitors.",
    "traits": [
        {
            "trait": "category:cycling",
            "in_seed": 210,
            "in_all": 900,
            "share_in_seed": 0.51,
            "share_in_all": 0.045,
            "lift": 11.3,
            "information": 1.1,
            "weight": 0.9,
        }
    ],
    "examples": [{"likeness": 0.97, "reasons": ["category:cycling", "age=26 to below 40"]}],
    "curve": [
        {"percent": p, "people": 200 * p, "likeness": 1 - p / 20, "recall": p / 10, "seats": s}
        for p in range(1, 11)
        for s in [{"xandr_958": 100 * p, "small": None}]
    ],
    "traits_used": 812,
    "traits_rare": 44,
    "traits_left_out": [f"rfm_segment={i}" for i in range(8)],
    "cut": None,
    "warnings": [{"code": "small_seed", "text": "The seed has 412 people."}],
}


def printed(report: dict[str, Any]) -> str:
    console = Console(width=160, highlight=False)
    with console.capture() as capture:
        console.print(report_of(report, "Twins of champions"))
    return capture.get()


PARTS = [
    pytest.param("1,000 people like the 412 of the seed", id="sizes"),
    pytest.param("likeness 0.73 or more (method blend)", id="likeness"),
    pytest.param("Not distinctive. This is no better than choosing heavy visitors.", id="verdict"),
    pytest.param("> blend", id="chosen"),
    pytest.param("by activity alone", id="baseline"),
    pytest.param("0.812 ± 0.021", id="spread"),
    pytest.param("xandr_958", id="seat"),
    pytest.param("<20", id="hidden reach"),
    pytest.param("category:cycling · age=26 to below 40", id="reasons"),
    pytest.param("11.3", id="lift"),
    pytest.param("left out, as they make the seed: rfm_segment=0", id="left out"),
    pytest.param("and 2 more", id="more left out"),
    pytest.param("warning: The seed has 412 people.", id="warning"),
]


@pytest.mark.parametrize("part", PARTS)
def test_a_report_says_it_all(part: str) -> None:
    """Verdict, trials, curve with seats, traits, reasons and warnings are printed."""
    assert part in printed(REPORT)


def test_hidden_counts_are_printed_as_such() -> None:
    """Without people's counts and examples the report still prints."""
    hidden = {**REPORT, "seed": None, "size": None, "traits": [], "examples": []}
    assert "<20 people like the <20 of the seed" in printed(hidden)


REFUSED = [
    pytest.param(["--size", "9", "--percent", "1"], "--size, --percent", id="size and percent"),
    pytest.param(["--percent", "1", "--likeness", "0.5"], "--percent, --likeness", id="likeness"),
    pytest.param(["--size", "0"], "--size", id="nobody"),
    pytest.param(["--method", "magic"], "magic", id="method"),
    pytest.param(["--cut", "yesterday"], "--cut", id="cut"),
]


@pytest.mark.parametrize("command", [["preview"], ["save", "twins"]], ids=["preview", "save"])
@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_contradictions_are_mistakes_of_usage(
    command: list[str], options: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes that contradict and what cannot be read end with exit code 2; nothing is sent."""
    monkeypatch.setenv("JUMELLE_ADMIN_KEY", "unused")
    result = CliRunner().invoke(lookalike, [*command, "champions", *options])
    assert result.exit_code == 2
    assert said in result.stderr


def test_what_is_given_is_asked() -> None:
    """Options become fields of the request; what is not given is not asked."""
    nothing = {"method": "auto", "size": None, "percent": None, "likeness": None}
    nothing |= {"exclude": (), "cut": None}
    assert asked_of("champions", nothing) == {"seed": "champions", "method": "auto"}
    given = nothing | {"likeness": 0.8, "exclude": ("b",), "cut": datetime(2026, 3, 1, tzinfo=UTC)}
    assert asked_of("champions", given) == {
        "seed": "champions",
        "method": "auto",
        "likeness": 0.8,
        "exclude": ["b"],
        "cut": "2026-03-01",
    }
