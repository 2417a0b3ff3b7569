"""How audiences need one another: what is missing, what goes round in circles, who is built first.

In go definitions by key, out come an order or an error; nothing is stored or evaluated here.
"""

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from audiences.rule import (
    Audience,
    HasTrait,
    Identified,
    InAudience,
    criteria_of,
    referenced_audiences,
)


class UnknownAudienceError(LookupError):
    """An audience is named that is not defined."""


class AudienceCycleError(ValueError):
    """An audience needs itself, directly or through others."""


class AudienceInUseError(ValueError):
    """An audience cannot go while others need it."""


def check_definition(audience: Audience, others: Mapping[str, Audience]) -> None:
    """Refuse an audience that needs unknown ones or, through others, itself."""
    unknown = sorted(referenced_audiences(audience) - others.keys() - {audience.key})
    if unknown:
        raise UnknownAudienceError(
            f"The audience {audience.key!r} needs {', '.join(unknown)}, not defined; define first"
        )
    build_order({**others, audience.key: audience})


def build_order(audiences: Mapping[str, Audience]) -> list[str]:
    """Give the keys so that every audience comes after those that it needs."""
    needs = {key: referenced_audiences(audience) for key, audience in audiences.items()}
    try:
        order = list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise AudienceCycleError(
            f"These audiences need one another in a circle: {circle}"
        ) from None
    return [key for key in order if key in audiences]


def used_by(key: str, audiences: Mapping[str, Audience]) -> list[str]:
    """Give the keys of the audiences that need this one."""
    return sorted(
        other for other, audience in audiences.items() if key in referenced_audiences(audience)
    )


def tells_of_customer(key: str, audiences: Mapping[str, Audience]) -> bool:
    """Tell whether being in an audience of browsers depends on the customer behind the browser.

    Traits and links are the customer's; twins are found by them. What is not defined tells all.
    """
    audience = audiences.get(key)
    if audience is None or audience.rule is None:
        return True
    return any(
        isinstance(each, HasTrait | Identified)
        or (isinstance(each, InAudience) and tells_of_customer(each.audience, audiences))
        for each in criteria_of(audience.rule)
    )
