"""Rules as data: a closed tree of criteria, and audiences, read from JSON, YAML or plain values.

An error names the path and what was expected. Nothing here evaluates a rule, knows an audience
besides its key, or sees a cycle between audiences: `audience_store` refuses that when a definition
is saved.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from audiences.conditions import Condition, Name, Op, Value, check_conditions, check_value
from audiences.rule_source import RuleError, plain_values
from matching.people import Identity

RULE_DEPTH_MAX: Final = 12
RULE_NODES_MAX: Final = 200
SEQUENCE_STEPS_MAX: Final = 10
AUDIENCE_TAXONOMY: Final = 4
"""What OpenRTB calls IAB's Audience Taxonomy 1.1 by."""
VENDOR_TAXONOMIES_FROM: Final = 500

Count: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000)]
Days: TypeAlias = Annotated[int, Meta(ge=0, le=3_650)]
Key: TypeAlias = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]


class _Node(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"
): ...


class _Part(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
): ...


class All(_Node, frozen=True, tag="all"):
    """Everyone whom all rules hold for."""

    of: Annotated[tuple["Rule", ...], Meta(min_length=1)]


class AnyOf(_Node, frozen=True, tag="any"):
    """Everyone whom one rule holds for."""

    of: Annotated[tuple["Rule", ...], Meta(min_length=1)]


class Not(_Node, frozen=True, tag="not"):
    """Everyone of the base whom the rule does not hold for."""

    rule: "Rule"


class AtLeast(_Node, frozen=True, tag="at_least"):
    """Everyone whom at least `k` of the rules hold for."""

    k: Annotated[int, Meta(ge=1)]
    of: Annotated[tuple["Rule", ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        if self.k > len(self.of):
            raise ValueError(f"k is {self.k}, but there are only {len(self.of)} rules")


class HasTrait(_Node, frozen=True, tag="trait", omit_defaults=True):
    """Everyone whose trait passes; without the trait only `is_not` passes."""

    trait: Name
    op: Op
    value: Value = None

    def __post_init__(self) -> None:
        check_value(self.op, self.value)


class Sum(_Part, frozen=True):
    """Bounds of the sum of one field over the events."""

    field: Name
    at_least: float | None = None
    at_most: float | None = None

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a sum needs at_least, at_most or both")
        _check_range(self.at_least, self.at_most)


class Did(_Node, frozen=True, tag="did", omit_defaults=True):
    """Everyone who did the event so many times, or for such a sum, on these days."""

    event: Name
    site: Name | None = None
    at_least: Count | None = None
    at_most: Count | None = None
    exactly: Count | None = None
    sum: Sum | None = None
    within_days: Days | None = None
    since: date | None = None
    until: date | None = None
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        counts = [self.at_least, self.at_most, self.exactly]
        if self.sum is not None and any(each is not None for each in counts):
            raise ValueError("a sum has its own at_least and at_most; drop the counts")
        if self.exactly is not None and any(each is not None for each in counts[:2]):
            raise ValueError("exactly stands alone; drop at_least and at_most")
        _check_range(self.at_least, self.at_most)
        if self.within_days is not None and (self.since is not None or self.until is not None):
            raise ValueError("choose within_days, or since and until")
        if self.since is not None and self.until is not None and self.since > self.until:
            raise ValueError(f"since {self.since} is after until {self.until}")
        check_conditions(self.where)

    def counts(self) -> tuple[int, int | None]:
        """Give the least and the most times; None is no bound."""
        if self.exactly is not None:
            return self.exactly, self.exactly
        if self.at_least is None:
            return (1 if self.at_most is None else 0), self.at_most
        return self.at_least, self.at_most


class Step(_Part, frozen=True):
    """One event of a sequence."""

    event: Name
    where: tuple[Condition, ...] = ()

    def __post_init__(self) -> None:
        check_conditions(self.where)


class DidInOrder(_Node, frozen=True, tag="sequence", omit_defaults=True):
    """Everyone who did the steps one after the other, from first to last within the time."""

    steps: Annotated[tuple[Step, ...], Meta(min_length=2, max_length=SEQUENCE_STEPS_MAX)]
    within_minutes: Annotated[int, Meta(ge=1, le=5_256_000)] | None = None
    within_days: Days | None = None

    def __post_init__(self) -> None:
        if self.within_minutes is not None and self.within_days is not None:
            raise ValueError("choose within_minutes or within_days")


class InAudience(_Node, frozen=True, tag="in_audience"):
    """Everyone of another audience."""

    audience: Key


class Synced(_Node, frozen=True, tag="synced"):
    """Everyone whom the partner knows by a live id."""

    partner: Name


class SeenOn(_Node, frozen=True, tag="seen_on"):
    """Everyone who did anything on the site."""

    site: Name


class Identified(_Node, frozen=True, tag="identified"):
    """Every customer; under `browser` every visitor that is linked to one."""


class Everyone(_Node, frozen=True, tag="everyone"):
    """The whole base."""


Criterion: TypeAlias = (
    HasTrait | Did | DidInOrder | InAudience | Synced | SeenOn | Identified | Everyone
)
Rule: TypeAlias = All | AnyOf | Not | AtLeast | Criterion


class Lookalike(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The twins of a seed audience: how they are found, how many, and whom to leave out."""

    seed: Key
    method: Literal["auto", "blend", "logodds", "iv", "lr", "minhash"] = "auto"
    size: Annotated[int, Meta(ge=1)] | None = None
    percent: Annotated[float, Meta(gt=0, le=100)] | None = None
    likeness: Annotated[float, Meta(gt=0, lt=1)] | None = None
    exclude: tuple[Key, ...] = ()
    cut: date | None = None
    edges: dict[Name, tuple[float, ...]] = {}
    """Where each number was cut in bins when this was saved; rebuilds cut it there again."""

    def __post_init__(self) -> None:
        sizes = (self.size, self.percent, self.likeness)
        if sum(each is not None for each in sizes) != 1:
            raise ValueError("a lookalike needs either size or percent or likeness")


class Taxonomy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an audience is in a public list: `segtax` names the list, `ids` its lines."""

    ids: Annotated[tuple[Name, ...], Meta(min_length=1)]
    segtax: int = AUDIENCE_TAXONOMY

    def __post_init__(self) -> None:
        if self.segtax != AUDIENCE_TAXONOMY and self.segtax < VENDOR_TAXONOMIES_FROM:
            raise ValueError(
                f"segtax is {self.segtax}; {AUDIENCE_TAXONOMY} is IAB's Audience Taxonomy 1.1, "
                f"from {VENDOR_TAXONOMIES_FROM} on they are vendors' own"
            )
        wrong = [each for each in self.ids if not (each.isascii() and each.isdecimal())]
        if wrong and self.segtax == AUDIENCE_TAXONOMY:
            raise ValueError(f"{wrong[0]!r} is no id of IAB's Audience Taxonomy: they are numbers")


class Audience(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named rule or lookalike, as it is defined; its members are in its builds."""

    key: Key
    name: Name
    rule: Rule | None = None
    lookalike: Lookalike | None = None
    identity: Identity = Identity.LAST_AUTHENTICATED
    min_size: Annotated[int, Meta(ge=0)] = 100
    tags: tuple[Name, ...] = ()
    public_to: tuple[Name, ...] = ()
    taxonomy: Taxonomy | None = None

    def __post_init__(self) -> None:
        if (self.rule is None) == (self.lookalike is None):
            raise ValueError("an audience needs either a rule or a lookalike")
        if self.lookalike is not None and self.key == self.lookalike.seed:
            raise ValueError("a lookalike cannot be its own seed")


def decode_rule(source: object) -> Rule:
    """Read a rule from JSON or YAML text, or from plain values."""
    rule: Rule = _convert(plain_values(source), Rule, what="rule")
    _check_limits(rule)
    return rule


def decode_audience(source: object, *, key: str | None = None) -> Audience:
    """Read an audience; `key` names it where the text need not."""
    plain = plain_values(source)
    if key is not None and isinstance(plain, dict):
        if plain.get("key", key) != key:
            raise RuleError(f"The audience calls itself {plain['key']!r}, but is to be {key!r}")
        plain = plain | {"key": key}
    audience: Audience = _convert(plain, Audience, what="audience")
    if audience.rule is not None:
        _check_limits(audience.rule)
    return audience


def children(rule: Rule) -> tuple[Rule, ...]:
    """Give the rules inside a rule; a criterion has none."""
    if isinstance(rule, All | AnyOf | AtLeast):
        return rule.of
    return (rule.rule,) if isinstance(rule, Not) else ()


def walk(rule: Rule, depth: int = 1) -> Iterator[tuple[int, Rule]]:
    """Give every node with its depth, parents first."""
    yield depth, rule
    for child in children(rule):
        yield from walk(child, depth + 1)


def criteria_of(rule: Rule) -> tuple[Criterion, ...]:
    """Give the distinct criteria of a rule in the order in which they stand."""
    found: dict[bytes, Criterion] = {}
    for _, node in walk(rule):
        if not isinstance(node, All | AnyOf | Not | AtLeast):
            found.setdefault(msgspec.json.encode(node), node)
    return tuple(found.values())


def referenced_audiences(definition: Rule | Audience) -> frozenset[str]:
    """Give the keys of the audiences that a rule or audience needs."""
    if not isinstance(definition, Audience):
        nodes = (node for _, node in walk(definition))
        return frozenset(node.audience for node in nodes if isinstance(node, InAudience))
    if definition.rule is not None:
        return referenced_audiences(definition.rule)
    twins = definition.lookalike
    return frozenset(() if twins is None else (twins.seed, *twins.exclude))


def _convert(plain: object, kind: Any, *, what: str) -> Any:
    try:
        return msgspec.convert(plain, kind)
    except msgspec.ValidationError as error:
        raise RuleError(f"This is no valid {what}: {error}") from None


def _check_limits(rule: Rule) -> None:
    nodes = list(walk(rule))
    depth = max(depth for depth, _ in nodes)
    if depth > RULE_DEPTH_MAX:
        raise RuleError(f"The rule is {depth} levels deep; at most {RULE_DEPTH_MAX} are allowed")
    if len(nodes) > RULE_NODES_MAX:
        raise RuleError(f"The rule has {len(nodes)} nodes; at most {RULE_NODES_MAX} are allowed")


def _check_range(low: float | None, high: float | None) -> None:
    if low is not None and high is not None and low > high:
        raise ValueError(f"at_least {low} is more than at_most {high}")
