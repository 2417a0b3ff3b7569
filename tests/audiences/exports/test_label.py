"""The sidecars that say what the segments of a file are."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from seat_world import World

from audiences.exports.manifest import read_manifest
from audiences.exports.seat import Label
from audiences.exports.seats import SeatErrors, read_seats, seat_questions
from audiences.rule import Audience, RuleError, decode_audience

pytestmark = [pytest.mark.clickhouse, pytest.mark.embedded]

BOUGHT = {"type": "did", "event": "Order Completed", "within_days": 90}
VIEWED = {"type": "did", "event": "Page", "within_days": 30}
PLAIN: dict[str, Any] = {"name": "Champions", "rule": BOUGHT}


def audience(**fields: Any) -> Audience:
    """Make a definition."""
    return decode_audience(PLAIN | fields, key="champions")


def labels(world: World, run: int, definition: Audience | None) -> list[dict[str, Any]]:
    """Export, and read the label of the one data file."""
    world.definitions = {"champions": definition} if definition else {}
    report = world.export(run)
    data, sidecar = (Path(file) for file in report.files)
    assert sidecar.name == f"{data.name}.label.json"
    found: list[dict[str, Any]] = json.loads(sidecar.read_bytes())
    return found


@pytest.fixture
def labelled(make_world: Callable[..., World]) -> World:
    """Give a world whose seat asks for labels."""
    world = make_world(label=Label(provider_name="shop.example"))
    world.activate("champions", "10", {0, 1, 2})
    return world


def test_a_file_has_a_label_for_each_of_its_segments(labelled: World) -> None:
    """A label names provider, segment, lines of IAB's taxonomy, the rule in words and its days."""
    taxonomy = {"ids": ["2", "49"]}
    assert labels(labelled, 1, audience(taxonomy=taxonomy)) == [
        {
            "provider_name": "shop.example",
            "audience_id": "10",
            "taxonomy_id_list": ["2", "49"],
            "audience_criteria": "Champions: Order Completed at least once within 90 days",
            "lookback_window": 90,
        }
    ]
    manifest = read_manifest(labelled.manifests()[0])
    assert [(each.counts.rows, each.bytes > 0) for each in manifest.files] == [(3, True), (0, True)]
    assert labelled.content() == labelled.held() == labelled.wanted()


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        pytest.param({"rule": {"type": "all", "of": [BOUGHT, VIEWED]}}, 90, id="the longest"),
        pytest.param({"rule": {"type": "did", "event": "Page"}}, None, id="no days"),
        pytest.param({"rule": {"type": "everyone"}}, None, id="no behaviour"),
        pytest.param(
            {"rule": {"type": "all", "of": [BOUGHT, {"type": "did", "event": "Page"}]}},
            None,
            id="one without days",
        ),
        pytest.param(
            {"rule": None, "lookalike": {"seed": "cyclists", "size": 9}}, None, id="twins"
        ),
    ],
)
def test_how_far_an_audience_looks_back(
    labelled: World, fields: dict[str, Any], days: int | None
) -> None:
    """The days of a label are known only where every behaviour names some."""
    (found,) = labels(labelled, 1, audience(**fields))
    assert found["lookback_window"] == days
    assert found["taxonomy_id_list"] == []


def test_a_vendors_taxonomy_stays_at_home(labelled: World) -> None:
    """Lines of another list than IAB's mean nothing in a label; long rules are cut."""
    rule = {"type": "any", "of": [{**VIEWED, "event": "E" * 90 + str(n)} for n in range(9)]}
    fields = {"rule": rule, "taxonomy": {"segtax": 500, "ids": ["shoes"]}}
    (found,) = labels(labelled, 1, audience(**fields))
    assert found["taxonomy_id_list"] == []
    assert len(found["audience_criteria"]) == 500


def test_without_a_definition_a_label_says_less(labelled: World) -> None:
    """A segment whose audience is not defined any more is labelled by its name."""
    (found,) = labels(labelled, 1, None)
    assert (found["audience_id"], found["audience_criteria"]) == ("10", "")


@pytest.mark.parametrize(
    "taxonomy",
    [
        pytest.param({"ids": []}, id="no line"),
        pytest.param({"ids": ["shoes"]}, id="no number"),
        pytest.param({"segtax": 5, "ids": ["2"]}, id="a taxonomy of content"),
    ],
)
def test_a_taxonomy_that_nobody_knows_is_refused(taxonomy: dict[str, Any]) -> None:
    """IAB's lines are numbers, and other lists are vendors' own."""
    with pytest.raises(RuleError):
        audience(taxonomy=taxonomy)


def test_labels_are_to_be_asked_about(seats: dict[str, Any]) -> None:
    """The names of a label's fields are no partner's word, and the check says so."""
    seat = msgspec.structs.replace(seats["xandr_958"], label=Label(provider_name="shop.example"))
    assert any("label" in each for each in seat_questions([seat]))
    assert not any("label" in each for each in seat_questions([seats["xandr_958"]]))


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("alarm_percent = -1", "alarm_percent"),
        ("alarm_ids = -5", "alarm_ids"),
        ('label = { provider_name = "" }', "label"),
        ('label = { name = "shop.example" }', "label"),
    ],
)
def test_what_a_seat_says_of_runs_is_checked(
    example_config: Path, tmp_path: Path, line: str, named: str
) -> None:
    """A negative alarm and a label without provider are refused with their place."""
    text = (example_config / "seats" / "xandr_958.toml").read_text()
    (tmp_path / "xandr_958.toml").write_text(line + "\n" + text)
    with pytest.raises(SeatErrors, match=named):
        read_seats(tmp_path)
