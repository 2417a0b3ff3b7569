"""What is wrong with this installation: what waits at rest, or what the running service says.

It reads the data directory when nobody has it, and asks over HTTP else; it changes nothing.
"""

import json
import os
from pathlib import Path
from typing import Any

import click
import httpx

from service.local_commands import settings
from service.tag.spool import count_records


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
def doctor(*, as_json: bool) -> None:
    """Say what is wrong with this installation; asks the service when it is running."""
    from service.engine.clickhouse import DataInUse, take_lock  # noqa: PLC0415 - as in `open_engine`

    environment, config = settings()
    found: dict[str, Any] = {"data": str(environment.data), "sites": len(config.sites)}
    try:
        take_lock(environment.data).close()
        found["running"] = False
        found |= _spool_at_rest(environment.data / "spool")
    except DataInUse:
        found["running"] = True
        url = os.environ.get("JUMELLE_URL", "http://127.0.0.1:8000")
        try:
            found["readyz"] = httpx.get(f"{url}/readyz", timeout=5).json()
            found |= _tagging(url, sorted(config.tagging_plans)) | _cookies(url)
        except httpx.HTTPError as problem:
            click.echo(f"the data directory is in use, but {url} says: {problem}", err=True)
            raise SystemExit(1) from None
    said = json.dumps(found) if as_json else "\n".join(f"{k}: {v}" for k, v in found.items())
    click.echo(said)


def _tagging(url: str, sites: list[str]) -> dict[str, list[str]]:
    """Tell, of each site with a tagging plan, what came otherwise than planned."""
    key = os.environ.get("JUMELLE_API_KEY") or os.environ.get("JUMELLE_ADMIN_KEY", "")
    found = {}
    for site in sites if key else []:
        answer = httpx.get(
            f"{url}/api/events/catalogue",
            params={"site": site},
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
        ).raise_for_status()
        found[f"tagging of {site}"] = [
            f"{each['event']} {each['property']}".strip() + f": {each['status']}, {each['text']}"
            for each in answer.json()["site"]["checks"] or []
            if each["status"] != "ok"
        ] or ["as planned"]
    return found


def _cookies(url: str) -> dict[str, list[str]]:
    """Tell how old the cookies were with which visitors came back, by family of browsers."""
    key = os.environ.get("JUMELLE_API_KEY") or os.environ.get("JUMELLE_ADMIN_KEY", "")
    if not key:
        return {}
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.get(f"{url}/api/cookies", headers=headers, timeout=60).raise_for_status()
    return {"cookies that came back": [_cookie_line(each) for each in answer.json()["cookies"]]}


def _cookie_line(each: dict[str, Any]) -> str:
    ages = ", ".join(
        f"{'none' if share is None else f'{share:.0%}'} after {days} days"
        for days, share in (
            (1, each["older_than_1_day"]),
            (7, each["older_than_7_days"]),
            (30, each["older_than_30_days"]),
        )
    )
    advice = f"; {each['advice']}" if each["advice"] else ""
    return f"{each['browser']}: {each['returned']} of {each['visitors']}, of these {ages}{advice}"


def _spool_at_rest(folder: Path) -> dict[str, int]:
    """Tell what waits while no engine runs."""
    waiting = [path for path in folder.glob("*/*") if path.suffix in {".chunk", ".torn", ".open"}]
    damaged = [path for path in waiting if path.parent.name == "quarantine"]
    loadable = [path for path in waiting if path.parent.name != "quarantine"]
    return {
        "chunks_waiting": len(loadable),
        "records_waiting": sum(map(count_records, loadable)),
        "quarantined": len(damaged),
    }
