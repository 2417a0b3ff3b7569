"""What the properties of events really hold: paths, types, fill, distinct and frequent values.

In go the properties of some events of one name, as JSON texts; out comes a description of them. It
says how many events it looked at; which they are, `catalogue_store` decides.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, TypeAlias

import msgspec

from audiences.conditions import LINE_PREFIX

PATHS_MAX: Final = 200
"""So many paths of one event are told apart; a page that makes up names must not fill memory."""
LEVELS_MAX: Final = 6
DISTINCT_MAX: Final = 1_000
TOP_VALUES: Final = 10
VALUE_CHARS_MAX: Final = 80

Kind: TypeAlias = Literal["text", "number", "boolean", "list", "object"]


class TopValue(msgspec.Struct, frozen=True, kw_only=True):
    """A frequent value as text, cut where it is long, and how often it was seen."""

    value: str
    count: int


class PropertySeen(msgspec.Struct, frozen=True, kw_only=True):
    """One path: `fill` is the share of events, or product lines, in which it has a value.

    `types` are shares of its values; `distinct` stops at DISTINCT_MAX.
    """

    path: str
    fill: float
    types: dict[Kind, float]
    distinct: int
    top: tuple[TopValue, ...]


class EventSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One event on one site: how many there are, at how many was looked, and what they hold."""

    event: str
    count: int
    looked_at: int
    properties: tuple[PropertySeen, ...]

    @property
    def is_exact(self) -> bool:
        """Tell whether every event was looked at."""
        return self.looked_at == self.count


def describe(event: str, count: int, texts: Sequence[str | bytes]) -> EventSeen:
    """Describe the events of one name; `count` is how many there are in all."""
    paths: dict[str, _Path] = {}
    lines = 0
    for text in texts:
        plain = _plain_object(text)
        lines += _count_lines(plain)
        for path, value in _values(plain):
            if path in paths or len(paths) < PATHS_MAX:
                paths.setdefault(path, _Path()).add(value)
    found = (
        made.seen(path, lines if path.startswith(LINE_PREFIX) else len(texts))
        for path, made in sorted(paths.items())
    )
    return EventSeen(event=event, count=count, looked_at=len(texts), properties=tuple(found))


class _Path:
    """The values of one path, counted."""

    def __init__(self) -> None:
        self.kinds: Counter[Kind] = Counter()
        self.values: Counter[str] = Counter()

    def add(self, value: object) -> None:
        """Count a value; an empty text is none."""
        kind = _kind_of(value)
        self.kinds[kind] += 1
        if kind in {"list", "object"}:
            return
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if text in self.values or len(self.values) < DISTINCT_MAX:
            self.values[text] += 1

    def seen(self, path: str, whole: int) -> PropertySeen:
        """Describe the path, one of `whole` places where it could stand."""
        filled = self.kinds.total()
        return PropertySeen(
            path=path,
            fill=min(1.0, filled / whole),  # a key with a dot in it may be a path of its own
            types={kind: count / filled for kind, count in self.kinds.most_common()},
            distinct=len(self.values),
            top=tuple(
                TopValue(value=text[:VALUE_CHARS_MAX], count=count)
                for text, count in self.values.most_common(TOP_VALUES)
            ),
        )


def _plain_object(text: str | bytes) -> dict[str, Any]:
    try:
        plain = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return plain if isinstance(plain, dict) else {}


def _count_lines(plain: dict[str, Any]) -> int:
    products = plain.get("products")
    return len(products) if isinstance(products, list) else int(isinstance(products, dict))


def _values(plain: dict[str, Any], prefix: str = "", level: int = 1) -> Iterator[tuple[str, Any]]:
    """Give every path that has a value; those of product lines once per line."""
    for key, value in plain.items():
        path = f"{prefix}{key}"
        if value is None or value == "":
            continue
        yield path, value
        if isinstance(value, dict) and level < LEVELS_MAX:
            yield from _values(value, f"{path}.", level + 1)
        elif path == "products" and isinstance(value, list):
            for line in value:
                if isinstance(line, dict):
                    yield from _values(line, LINE_PREFIX, level + 1)


def _kind_of(value: object) -> Kind:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"
