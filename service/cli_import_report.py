"""Shows what became of an imported file: counts, and of customers each column and every conflict.

What the server told comes in, tables on stdout go out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from service.cli_output import print_facts, print_table
from service.import_files import Imported

CONFLICTS_SHOWN: Final = 20


def facts_of(file: Path, done: Imported) -> dict[str, Any]:
    """Give the counts of any import."""
    return {
        "file": str(file),
        "rows": done.rows,
        "imported": done.imported,
        "new_customers": done.new_customers,
        "changed_customers": done.changed_customers,
        "traits": done.traits,
        "rejected": len(done.rejects),
    }


def print_report(file: Path, done: Imported) -> None:
    """Write the counts and, for customers, the quality of the data."""
    report = done.report
    facts = facts_of(file, done)
    if not report:
        del facts["changed_customers"]
    print_facts(facts | _facts_of_customers(report))
    if columns := report.get("columns"):
        print_table(
            [_row_of(column) for column in columns],
            [
                *(("column", "column"), ("meaning", "is"), ("type", "type")),
                *(("filled", "filled"), ("distinct", "different"), ("least", "least")),
                *(("greatest", "greatest"), ("top", "most often")),
            ],
        )
    for name, heading in (("rejects_by_reason", "refused"), ("warnings_by_reason", "warnings")):
        reasons = [{"reason": key, "rows": rows} for key, rows in report.get(name, {}).items()]
        if reasons:
            print_table(reasons, [("reason", heading), ("rows", "rows")])
    for name, heading in (("moved_aliases", "alias moved"), ("refused_aliases", "alias refused")):
        conflicts = report.get(name, [])[:CONFLICTS_SHOWN]
        if conflicts:
            print_table(
                conflicts, [("kind", heading), ("kept_by", "now of"), ("lost_by", "not of")]
            )


def _facts_of_customers(report: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for contact, (contacts, customers) in report.get("shared_contacts", {}).items():
        facts[f"shared {contact}"] = f"{contacts:,}, of {customers:,} customers"
    missing = report.get("missing")
    if missing:
        done = "taken away" if missing["taken_away"] else "nothing taken away"
        facts["missing"] = f"{missing['customers']:,} of {missing['of']:,} customers, {done}"
    if report.get("dry_run"):
        facts["dry run"] = "nothing was stored"
    return facts


def _row_of(column: Mapping[str, Any]) -> dict[str, Any]:
    about = "" if column["distinct_exact"] else "about "
    top = ", ".join(f"{each['value']} ({each['count']:,})" for each in column["top"][:3])
    return {
        "column": column["column"],
        "meaning": column["meaning"],
        "type": column["type"],
        "filled": f"{column['fill_rate']:.1%}",
        "distinct": f"{about}{column['distinct']:,}",
        "least": column["least"] or "",
        "greatest": column["greatest"] or "",
        "top": top,
    }
