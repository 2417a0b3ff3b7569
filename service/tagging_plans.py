"""Reads the sites' tagging plans, `config/tagging_plans/SITE.toml`; a site needs none.

Faults are gathered, each with its file; what came is compared in `audiences/tagging_plan.py`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from audiences.tagging_plan import TaggingPlan, read_plan

PLANS: Final = "tagging_plans"


def load_tagging_plans(
    folder: Path, sites: Collection[str], errors: list[str]
) -> dict[str, TaggingPlan]:
    """Read every plan of a configuration folder by its site; faults are added to `errors`."""
    plans = {}
    for path in sorted((folder / PLANS).glob("*.toml")):
        if path.stem not in sites:
            errors.append(f"{path}: there is no site {path.stem!r}; name the file by a site's key")
            continue
        try:
            plans[path.stem] = read_plan(path.read_bytes())
        except (msgspec.MsgspecError, UnicodeDecodeError) as problem:
            errors.append(f"{path}: {problem}")
    return plans
