"""Seat files: decoded, checked, and every fault told at once."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from audiences.exports.seat_checks import problems_of
from audiences.exports.seats import Seat, SeatErrors, load_seats


def changed(seat: Seat, changes: dict[str, Any]) -> Seat:
    """Change values of a seat by their dotted places."""
    data = msgspec.to_builtins(seat)
    for place, value in changes.items():
        *way, last = place.split(".")
        target = data
        for name in way:
            target = target[name]
        target[last] = value
    return msgspec.convert(data, Seat)


def test_example_seats_load(seats: dict[str, Seat]) -> None:
    """The three example seats load, ordered by key, with the privacy floor that all share."""
    assert list(seats) == ["pixel_csv", "ttd_demo", "xandr_958"]
    assert {seat.min_size for seat in seats.values()} == {100}


def test_no_folder_means_no_seats(tmp_path: Path) -> None:
    """A configuration without seats is a configuration."""
    assert load_seats(tmp_path) == []


def test_every_error_of_every_file_is_told(tmp_path: Path, example_config: Path) -> None:
    """Broken files are reported together, each fault behind its file's path."""
    folder = tmp_path / "seats"
    folder.mkdir()
    good = (example_config / "seats" / "xandr_958.toml").read_text()
    (folder / "wrong_types.toml").write_text(
        good.replace("max_bytes = 500_000_000", 'max_bytes = "much"').replace(
            'grouping = "user"', "grouping = 3"
        )
    )
    (folder / "other_name.toml").write_text(good.replace('remove = "\\t"', 'remove = ";"'))
    (folder / "no_toml.toml").write_text("key = ")
    with pytest.raises(SeatErrors) as caught:
        load_seats(tmp_path)
    errors = caught.value.errors
    assert [error.split(": ")[0] for error in errors] == [
        str(folder / "no_toml.toml"),
        *[str(folder / "other_name.toml")] * 2,
        *[str(folder / "wrong_types.toml")] * 2,
    ]
    assert "$.file.max_bytes" in "".join(errors)
    assert "$.membership.grouping" in "".join(errors)


def test_unknown_keys_are_refused(tmp_path: Path, example_config: Path) -> None:
    """A misspelt key is an error, not a default."""
    folder = tmp_path / "seats"
    folder.mkdir()
    good = (example_config / "seats" / "ttd_demo.toml").read_text()
    (folder / "ttd_demo.toml").write_text(good.replace("min_size", "minimum_size"))
    with pytest.raises(SeatErrors, match="minimum_size"):
        load_seats(tmp_path)


FAULTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "key": ("xandr_958", {"key": "Xandr-958"}, "`key`"),
    "no id space": ("xandr_958", {"id_spaces": []}, "`id_spaces` is empty"),
    "twice": ("xandr_958", {"id_spaces": ["a", "a"]}, "twice"),
    "negative floor": ("xandr_958", {"min_size": -1}, "`min_size`"),
    "no life": ("xandr_958", {"lives_days": 0}, "`lives_days`"),
    "name unreadable": ("xandr_958", {"file.name": "{run"}, "cannot be read"),
    "name unknown": ("xandr_958", {"file.name": "{run}{part}{who}"}, "uses who"),
    "name not unique": ("xandr_958", {"file.name": "{seat}.txt"}, "{run} and {part}"),
    "name in a folder": ("xandr_958", {"file.name": "../{run}{part}"}, "plain"),
    "negative limit": ("xandr_958", {"file.max_rows": -1}, "max_rows"),
    "expiry above max": ("xandr_958", {"membership.expiry.default": 259_201}, "default"),
    "expiry below a day": ("xandr_958", {"membership.expiry.default": 0}, "default"),
    "expiry above Xandr's": ("xandr_958", {"membership.expiry.max": 259_201}, "180 days"),
    "refresh too early": ("xandr_958", {"membership.refresh_before_days": 30}, "less than"),
    "no unit": ("pixel_csv", {"membership.expiry.unit": "none"}, "has no unit"),
    "replace by delta": ("pixel_csv", {"membership.removal": "replace"}, "full"),
    "two letters": ("xandr_958", {"format.separators.tag": "^^"}, "one character"),
    "forbidden": ("xandr_958", {"format.separators.tag": "|"}, "does not allow"),
    "letter": ("xandr_958", {"format.separators.tag": "x"}, "does not allow"),
    "newline": ("xandr_958", {"format.separators.tag": "\n"}, "does not allow"),
    "equal": ("xandr_958", {"format.separators.remove": ";"}, "are both"),
    "id and code": ("xandr_958", {"format.fields": ["SEG_ID", "SEG_CODE", "EXPIRATION"]}, "never"),
    "no segment": ("xandr_958", {"format.fields": ["EXPIRATION"]}, "never both"),
    "unknown field": ("xandr_958", {"format.fields": ["SEG_ID", "EXPIRATION", "AGE"]}, "AGE"),
    "field twice": (
        "xandr_958",
        {"format.fields": ["SEG_ID", "EXPIRATION", "EXPIRATION"]},
        "twice",
    ),
    "member of an id": (
        "xandr_958",
        {"format.fields": ["SEG_ID", "MEMBER_ID", "EXPIRATION"]},
        "MEMBER_ID",
    ),
    "sentinel without field": ("xandr_958", {"format.fields": ["SEG_ID"]}, "EXPIRATION"),
    "value": ("xandr_958", {"format.value": 2**31}, "`format.value`"),
    "line": ("xandr_958", {"format.segments_per_line_max": 1801}, "1800"),
    "domain": ("xandr_958", {"format.tags": {"xandr": "6"}}, "domain"),
    "stray tag": ("xandr_958", {"format.tags": {"idfa": "3"}}, "not among"),
    "untold spaces": ("xandr_958", {"id_spaces": ["xandr", "idfa"]}, "tell all"),
    "text by membership": ("xandr_958", {"membership.grouping": "membership"}, "grouping"),
    "text by flag": ("xandr_958", {"membership.removal": "flag"}, "sentinel or section"),
    "no id key": ("ttd_demo", {"format.id_keys": {}}, "no key"),
    "same id key": ("ttd_demo", {"format.id_keys": {"ttd": "A", "x": "A"}}, "same key"),
    "data as id key": ("ttd_demo", {"format.id_keys": {"ttd": "Data"}}, "must not be"),
    "items": ("ttd_demo", {"format.request": {"Items": ""}}, "Items"),
    "json by section": ("ttd_demo", {"membership.removal": "section"}, "sentinel"),
    "json by days": ("ttd_demo", {"membership.expiry.unit": "days"}, "minutes"),
    "tiny request": ("ttd_demo", {"format.request_bytes_max": 10}, "too small"),
    "column": ("pixel_csv", {"format.columns": [{"header": "a", "value": "b"}]}, "lacks id"),
    "columns twice": (
        "pixel_csv",
        {
            "format.columns": [
                {"header": "a", "value": each} for each in ("id", "segment", "action")
            ]
        },
        "twice",
    ),
    "flag without words": ("pixel_csv", {"format.remove": "add"}, "two values"),
    "csv by user": ("pixel_csv", {"membership.grouping": "user"}, "grouping"),
    "csv by sentinel": ("pixel_csv", {"membership.removal": "sentinel"}, "flag or replace"),
    "delimiter": ("pixel_csv", {"format.delimiter": ";;"}, "delimiter"),
    "csv spaces": ("pixel_csv", {"id_spaces": ["pixel", "idfa"]}, "id_space"),
}


@pytest.mark.parametrize(("key", "changes", "told"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told(
    seats: dict[str, Seat], key: str, changes: dict[str, Any], told: str
) -> None:
    """Each rule that a seat breaks is told with the key at fault."""
    assert told in "\n".join(problems_of(changed(seats[key], changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {"format.separators.user": ":"},
        {
            "format.separators": {
                "user": ":",
                "segment": ";",
                "field": ":",
                "remove": "#",
                "tag": "^",
            }
        },
        {"membership.removal": "section", "format.fields": ["SEG_CODE", "MEMBER_ID", "VALUE"]},
        {"id_spaces": ["xandr", "idfa"], "format.tags": {"idfa": "3"}},
    ],
    ids=["user equals field", "another member's", "section", "tagged"],
)
def test_what_xandr_allows_is_allowed(seats: dict[str, Seat], changes: dict[str, Any]) -> None:
    """The exceptions of Xandr's rules are not faults."""
    assert problems_of(changed(seats["xandr_958"], changes)) == []


@pytest.mark.parametrize(
    ("key", "asked", "given"),
    [
        ("xandr_958", 0, 30),
        ("xandr_958", 7, 7),
        ("xandr_958", 500, 180),
        ("pixel_csv", 0, 30),
        ("pixel_csv", 500, 180),
    ],
)
def test_lifetimes_stay_within_the_seat(
    seats: dict[str, Seat], key: str, asked: int, given: int
) -> None:
    """An activation without lifetime takes the seat's, one with too long a lifetime its maximum."""
    assert seats[key].lifetime_days(asked) == given
