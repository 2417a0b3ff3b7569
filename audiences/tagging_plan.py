"""What a site means to send, compared with what came: events, properties, their types and fill.

In go a plan (a TOML text) and what the catalogue saw, out comes one check for each thing planned or
seen, each with its status. Nothing here reads files or asks for events.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from audiences.catalogue import EventSeen, Kind, PropertySeen
from audiences.conditions import Name

PLAN_EVENTS_MAX: Final = 500
PLAN_PROPERTIES_MAX: Final = 200


class CheckStatus(StrEnum):
    """How a thing that was planned or seen stands."""

    OK = "ok"
    MISSING_EVENT = "missing_event"
    UNEXPECTED_EVENT = "unexpected_event"
    MISSING_PROPERTY = "missing_property"
    UNEXPECTED_PROPERTY = "unexpected_property"
    WRONG_TYPE = "wrong_type"
    LOW_FILL = "low_fill"


class PlannedProperty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One property: its type, and the least share of events (or product lines) that have it."""

    type: Kind | Literal["any"] = "any"
    fill: Annotated[float, Meta(ge=0, le=1)] = 1.0


class PlannedEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event; an optional one may stay away."""

    optional: bool = False
    properties: Annotated[dict[Name, PlannedProperty], Meta(max_length=PLAN_PROPERTIES_MAX)] = {}
    others: Literal["report", "allow"] = "report"
    """Whether properties that are not planned are reported."""


class TaggingPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one site means to send; `others` says whether further events are reported."""

    events: Annotated[dict[Name, PlannedEvent], Meta(max_length=PLAN_EVENTS_MAX)]
    others: Literal["report", "allow"] = "report"


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One event or property and how it stands; `text` says what was planned and what came."""

    event: str
    property: str = ""
    status: CheckStatus
    text: str = ""


def read_plan(text: bytes | str) -> TaggingPlan:
    """Read a plan; a fault names its path."""
    return msgspec.toml.decode(text, type=TaggingPlan)


def compare(plan: TaggingPlan, seen: Sequence[EventSeen]) -> list[Check]:
    """Check everything planned, then everything that came without being planned."""
    by_name = {each.event: each for each in seen}
    checks: list[Check] = []
    for name, event in plan.events.items():
        checks += _event_checks(name, event, by_name.get(name))
    if plan.others == "report":
        checks += [
            Check(
                event=name,
                status=CheckStatus.UNEXPECTED_EVENT,
                text="it came, but is not planned; plan it or stop sending it",
            )
            for name in by_name
            if name not in plan.events
        ]
    return checks


def _event_checks(name: str, planned: PlannedEvent, seen: EventSeen | None) -> list[Check]:
    if seen is None or not seen.looked_at:
        status = CheckStatus.OK if planned.optional else CheckStatus.MISSING_EVENT
        text = "" if planned.optional else "it is planned, but never came in these days"
        return [Check(event=name, status=status, text=text)]
    found: Mapping[str, PropertySeen] = {each.path: each for each in seen.properties}
    checks = [Check(event=name, status=CheckStatus.OK)]
    for path, each in planned.properties.items():
        status, text = _property_check(each, found.get(path))
        checks.append(Check(event=name, property=path, status=status, text=text))
    if planned.others == "report":
        checks += [
            Check(
                event=name,
                property=path,
                status=CheckStatus.UNEXPECTED_PROPERTY,
                text="it came, but is not planned; plan it or stop sending it",
            )
            for path in found
            if not _is_planned(path, planned.properties)
        ]
    return checks


def _property_check(planned: PlannedProperty, seen: PropertySeen | None) -> tuple[CheckStatus, str]:
    if seen is None or not seen.fill:
        if planned.fill == 0:
            return CheckStatus.OK, ""
        return CheckStatus.MISSING_PROPERTY, "it is planned, but none of these events has it"
    others = {kind: share for kind, share in seen.types.items() if kind != planned.type}
    if planned.type != "any" and others:
        shares = ", ".join(f"{_percent(share)} are {kind}" for kind, share in others.items())
        return CheckStatus.WRONG_TYPE, f"planned as {planned.type}, but of its values {shares}"
    if seen.fill < planned.fill:
        least = _percent(planned.fill)
        return CheckStatus.LOW_FILL, f"planned in at least {least}, found in {_percent(seen.fill)}"
    return CheckStatus.OK, ""


def _is_planned(path: str, planned: Mapping[str, PlannedProperty]) -> bool:
    """Tell whether a path, or one inside or around it, is planned."""
    return any(
        path == each or path.startswith(f"{each}.") or each.startswith(f"{path}.")
        for each in planned
    )


def _percent(share: float) -> str:
    """Write a share so that neither none nor all is claimed wrongly."""
    if share in {0.0, 1.0}:
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}"
