"""Rules evaluated person by person over raw rows: loops and plain values, slow and plain to see.

In go a rule as JSON spells it and one world of rows (events, links, traits, consents, synced ids);
out comes who holds. Nothing of the engine is used: not its rule, not its days, not its links.
"""

import json
import re
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Plain = dict[str, Any]

NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?", re.ASCII)
STRENGTH = {"login": 4, "purchase": 4, "server": 3, "form": 1}
OTHER_AMOUNT = {"total": "revenue", "revenue": "total"}
SUM_DECIMALS = 6


class World:
    """Everything that is known, as lists of plain rows, and one moment to ask at.

    Events: at_ms, received_at_ms, chunk, row, event, site, visitor, customer, is_bot, properties.
    Links: visitor, customer, at_ms, method, claimed. Traits: customer, trait, value, at_ms, where
    None takes a trait away. Consents: visitor, denied. Synced: visitor, partner, expires_ms.
    """

    def __init__(self, *, zone: ZoneInfo, now_ms: int, currencies: dict[str, str]) -> None:
        self.zone = zone
        self.now_ms = now_ms
        self.currencies = currencies
        self.customers: list[int] = []
        self.visitors: list[int] = []
        self.events: list[Plain] = []
        self.links: list[Plain] = []
        self.traits: list[Plain] = []
        self.consents: list[Plain] = []
        self.synced: list[Plain] = []
        self.audiences: dict[str, Plain] = {}

    def excluded(self) -> set[int]:
        """Find the visitors in no audience: bots, and those who forbid it."""
        bots = {row["visitor"] for row in self.events if row["is_bot"]} - {0}
        return bots | {row["visitor"] for row in self.consents if row["denied"]}

    def customer_of(self, visitor: int) -> int:
        """Find whom a visitor is linked to: by its strongest proof, then the newest."""
        best, customer = (-1, -1), 0
        for row in self.links:
            if row["visitor"] == visitor and not row["claimed"]:
                weight = (STRENGTH[row["method"]], row["at_ms"])
                if weight > best:
                    best, customer = weight, row["customer"]
        return customer

    def base(self, identity: str) -> set[int]:
        """Give everyone: customers and unlinked visitors, or browsers."""
        browsers = {each for each in self.visitors if each not in self.excluded()}
        if identity == "browser":
            return browsers
        return set(self.customers) | {each for each in browsers if not self.customer_of(each)}

    def trait_of(self, person: int, trait: str, identity: str) -> Any:
        """Give the newest value of a person's trait; None is none."""
        customer = person
        if identity == "browser" or person in self.visitors:
            customer = self.customer_of(person)
        newest, value = -1, None
        for row in self.traits:
            if row["customer"] == customer and row["trait"] == trait and row["at_ms"] > newest:
                newest, value = row["at_ms"], row["value"]
        return value

    def events_of(self, person: int, identity: str) -> list[Plain]:
        """Give the events of a person, bots' and those dated after today left out."""
        found = []
        for row in self.events:
            owner = row["visitor"]
            if identity != "browser":
                owner = row["customer"] or self.customer_of(row["visitor"]) or row["visitor"]
            if owner == person and not row["is_bot"] and self.day(row["at_ms"]) <= self.today():
                found.append(row)
        return found

    def day(self, at_ms: int) -> date:
        """Give the calendar day of a moment."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).date()

    def today(self) -> date:
        """Give the day of asking."""
        return self.day(self.now_ms)


def members(world: World, rule: Plain, identity: str) -> set[int]:
    """Give everyone of the base whom the rule holds for."""
    return {each for each in world.base(identity) if holds(world, rule, each, identity)}


def holds(world: World, rule: Plain, person: int, identity: str) -> bool:
    """Tell whether a rule holds for one person."""
    kind = rule["type"]
    if kind in {"all", "any", "at_least"}:
        true = 0
        for each in rule["of"]:
            true += holds(world, each, person, identity)
        return true >= {"all": len(rule["of"]), "any": 1}.get(kind, rule.get("k", 0))
    if kind == "not":
        return not holds(world, rule["rule"], person, identity)
    if kind == "in_audience":
        return holds(world, world.audiences[rule["audience"]], person, identity)
    return criterion_holds(world, rule, person, identity)


def criterion_holds(world: World, rule: Plain, person: int, identity: str) -> bool:
    """Tell whether a criterion holds for one person."""
    kind = rule["type"]
    if kind == "everyone":
        return True
    if kind == "identified":
        return person in world.customers or world.customer_of(person) != 0
    if kind == "trait":
        return passes(
            rule["op"], rule.get("value"), world.trait_of(person, rule["trait"], identity)
        )
    if kind == "seen_on":
        return any(row["site"] == rule["site"] for row in world.events_of(person, identity))
    if kind == "synced":
        return is_synced(world, rule["partner"], person, identity)
    if kind == "sequence":
        return did_in_order(world, rule, world.events_of(person, identity))
    return did(world, rule, world.events_of(person, identity))


def is_synced(world: World, partner: str, person: int, identity: str) -> bool:
    """Tell whether the partner has a live id of the person or one of its browsers."""
    for row in world.synced:
        if row["partner"] == partner and row["expires_ms"] > world.now_ms:
            visitor = row["visitor"]
            mine = identity != "browser" and world.customer_of(visitor) == person
            if visitor == person or mine:
                return True
    return False


def did(world: World, rule: Plain, events: list[Plain]) -> bool:
    """Count or sum one person's events, and compare with the bounds."""
    count, total = 0, 0.0
    for row in events:
        if not in_window(world, rule, world.day(row["at_ms"])):
            continue
        if rule.get("site") is not None and row["site"] != rule["site"]:
            continue
        if not fits(row, rule.get("where", [])):
            continue
        refunds = rule["event"] == "Order Completed" and row["event"] == "Order Refunded"
        if row["event"] == rule["event"]:
            count += 1
        if "sum" in rule and (row["event"] == rule["event"] or refunds):
            total += amount(world, rule, row, refunds=refunds)
    if "sum" in rule:
        return within(
            round(total, SUM_DECIMALS), rule["sum"].get("at_least"), rule["sum"].get("at_most")
        )
    if "exactly" in rule:
        return count == rule["exactly"]
    low = rule.get("at_least", 0 if "at_most" in rule else 1)
    return within(count, low, rule.get("at_most"))


def in_window(world: World, rule: Plain, day: date) -> bool:
    """Tell whether a day is among those that the rule looks at."""
    if "within_days" in rule:
        return day >= world.today() - timedelta(days=rule["within_days"])
    first, last = rule.get("since"), rule.get("until")
    return within(day.isoformat(), first, last)


def within(value: Any, low: Any, high: Any) -> bool:
    """Tell whether a value lies between two bounds; None is no bound."""
    return (low is None or value >= low) and (high is None or value <= high)


def amount(world: World, rule: Plain, row: Plain, *, refunds: bool) -> float:
    """Give what an event adds to a sum, in its site's currency; other currencies add nothing."""
    own = world.currencies.get(row["site"], "")
    paid = row["properties"].get("currency") or own
    if own and paid.upper() != own:
        return 0.0
    field = rule["sum"]["field"]
    found = field_amount(row, field, rule.get("where", []))
    if refunds and found == 0 and field in OTHER_AMOUNT:
        found = field_amount(row, OTHER_AMOUNT[field], [])
    return -abs(found) if refunds else found


def field_amount(row: Plain, field: str, where: list[Plain]) -> float:
    """Read one amount; a line's price counts once per piece, and only lines that fit count."""
    if not field.startswith("products."):
        return number_of(at(row["properties"], field)) or 0.0
    total = 0.0
    for line in lines_that_fit(row, where):
        value = number_of(at(line, field.removeprefix("products."))) or 0.0
        pieces = number_of(at(line, "quantity")) or 0.0
        total += value * (pieces if field == "products.price" and pieces > 0 else 1)
    return total


def fits(row: Plain, where: list[Plain]) -> bool:
    """Tell whether an event meets all conditions, those on products all on one line."""
    on_lines = [each for each in where if each["field"].startswith("products.")]
    for each in where:
        if each not in on_lines:
            found = at(row["properties"], each["field"])
            if not passes(each["op"], each.get("value"), found):
                return False
    return not on_lines or bool(lines_that_fit(row, where))


def lines_that_fit(row: Plain, where: list[Plain]) -> list[Any]:
    """Give the product lines on which every condition on products holds."""
    products = row["properties"].get("products")
    found = []
    for line in products if isinstance(products, list) else []:
        good = True
        for each in where:
            if each["field"].startswith("products."):
                value = at(line, each["field"].removeprefix("products."))
                good = good and passes(each["op"], each.get("value"), value)
        if good:
            found.append(line)
    return found


def did_in_order(world: World, rule: Plain, events: list[Plain]) -> bool:
    """Try every event as the first one, and take the earliest next one each time."""
    events = sorted(
        events, key=lambda row: (row["at_ms"], row["received_at_ms"], row["chunk"], row["row"])
    )
    return any(steps_follow(world, rule, events[begin:]) for begin in range(len(events)))


def steps_follow(world: World, rule: Plain, events: list[Plain]) -> bool:
    """Follow the steps from the very first of these events on."""
    step, reached = 0, None
    for row in events:
        if row["event"] == rule["steps"][step]["event"] and fits(
            row, rule["steps"][step].get("where", [])
        ):
            step, reached = step + 1, row
        elif step == 0:
            return False
        if step == len(rule["steps"]):
            return close_enough(world, rule, events[0], reached or row)
    return False


def close_enough(world: World, rule: Plain, first: Plain, last: Plain) -> bool:
    """Tell whether the last step came soon enough after the first."""
    if "within_minutes" in rule:
        return bool(last["at_ms"] - first["at_ms"] <= rule["within_minutes"] * 60_000)
    if "within_days" in rule:
        days = (world.day(last["at_ms"]) - world.day(first["at_ms"])).days
        return bool(days <= rule["within_days"])
    return True


def at(value: Any, path: str) -> Any:
    """Follow a path through objects; None where it ends early."""
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def passes(op: str, wanted: Any, found: Any) -> bool:
    """Tell whether a found value passes; of a list one member must."""
    if op == "is_not":
        return not passes("is", wanted, found)
    if found is None:
        return False
    if op == "exists":
        return True
    if isinstance(found, list):
        op = "is" if op == "contains" else op
        return any(passes_alone(op, wanted, each) for each in found if each is not None)
    return passes_alone(op, wanted, found)


def passes_alone(op: str, wanted: Any, found: Any) -> bool:
    """Tell whether one value passes: numbers compare as numbers, all else as it is spelled."""
    if op == "is":
        return equal(wanted, found)
    if op == "in":
        return any(equal(each, found) for each in wanted)
    if op == "contains":
        return wanted in spelled(found)
    low, high = wanted if op == "between" else (wanted, wanted)
    compared: Any = spelled(found) if isinstance(low, str) else number_of(found)
    if compared is None:
        return False
    return (op == "at_most" or compared >= low) and (op == "at_least" or compared <= high)


def equal(wanted: Any, found: Any) -> bool:
    """Tell whether two values are one: alike as numbers, or spelled alike."""
    if isinstance(wanted, int | float) and not isinstance(wanted, bool):
        number = number_of(found)
        if number is not None:
            return number == wanted
    return spelled(wanted) == spelled(found)


def number_of(value: Any) -> float | None:
    """Read a number, or a text that spells one; True is none."""
    if isinstance(value, str):
        return float(value) if NUMBER.fullmatch(value) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)


def spelled(value: Any) -> str:
    """Spell a value as JSON does, a text as it is, a whole number without a fraction."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
