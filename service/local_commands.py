"""The commands that work on this machine's data directory: serve, check, token.

Data goes to stdout, messages to stderr; what needs the running service is in `cli_api.py`.
"""

import fcntl
import json
import logging
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from litestar import Litestar

from audiences.exports.seats import seat_questions
from matching.partners import load_partners, open_questions
from service.config import (
    Config,
    ConfigErrors,
    Environment,
    load_config,
    prepare_config,
    read_environment,
)
from service.logs import configure_logging, fields
from service.metrics import Balance, BalanceOf
from service.tag import tag_script
from service.tag.process import TagProcess
from service.tag.tokens import (
    CLICK_LIVES_S_MAX,
    Click,
    Keys,
    KeysUnreadable,
    TokenError,
    make_click,
    make_identify,
)
from service.tag_server import run_server, serve_tag

if TYPE_CHECKING:
    from service.engine.engine import Engine

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

log: Final = logging.getLogger("jumelle.serve")


def settings() -> tuple[Environment, Config]:
    """Read environment and configuration; on any fault print all of them and exit 2."""
    environment = read_environment_or_exit()
    try:
        environment.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _first_start(environment.data):
            folder = prepare_config(environment.data)
            Keys.load_or_create(environment.data / "keys.toml")
        return environment, load_config(folder)
    except ConfigErrors as problem:
        raise _exit_with(*problem.errors) from None
    except KeysUnreadable as problem:
        raise _exit_with(str(problem)) from None


def read_environment_or_exit() -> Environment:
    """Read the environment; on any fault print it and exit 2."""
    try:
        return read_environment()
    except ConfigErrors as problem:
        raise _exit_with(*problem.errors) from None


def _exit_with(*lines: str) -> SystemExit:
    for line in lines:
        click.echo(line, err=True)
    return SystemExit(2)


def keep_private(data: Path) -> None:
    """Let nobody but this user read what the service writes; called before anything is."""
    os.umask(0o077)
    data.mkdir(parents=True, exist_ok=True)
    # Why suppressed: the folder may be a volume that another user mounted here.
    with suppress(PermissionError):
        data.chmod(0o700)


@contextmanager
def _first_start(data: Path) -> Iterator[None]:
    """Let one process at a time make what the first start makes: tag and engine start together."""
    with (data / "first-start.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def click_token(keys: Keys, *, site: str, crm_id: str, target: str, days: int = 30) -> str:
    """Make the token of a newsletter link: `/c/TOKEN` links this browser to the customer."""
    lives_s = min(days * 86_400, CLICK_LIVES_S_MAX)
    link = Click(
        crm_id=crm_id,
        site=site,
        target=target,
        expires_s=int(time.time()) + lives_s,
        nonce=secrets.randbits(63),
    )
    return make_click(keys, link)


@click.command()
@click.option("--role", type=click.Choice(["all", "tag", "engine"]), default="all")
@click.option("--host", default="127.0.0.1", help="Address to listen on.")
@click.option("--port", default=8000, help="Port of pages and API (and tag, in role all).")
@click.option("--tag-port", default=8010, help="Port of the tag processes.")
@click.option("--tag-workers", default=1, help="How many tag processes.")
@click.option("--worker", default=0, hidden=True)
@click.option("--parent", default=0, hidden=True)
def serve(
    role: str, host: str, port: int, tag_port: int, tag_workers: int, worker: int, parent: int
) -> None:
    """Serve tag, engine or both."""
    keep_private(read_environment_or_exit().data)
    environment, config = settings()
    _refuse_example_key(host, config)
    configure_logging()
    if host not in LOOPBACK:
        for warning in config.warnings:
            log.warning(warning)
    if role == "tag":
        spool = config.service.spool
        serve_tag(
            environment.data,
            spool,
            host=host,
            port=tag_port,
            workers=tag_workers,
            own=worker,
            parent=parent,
        )
        return
    from service.app import engine_app  # noqa: PLC0415 - see open_engine

    of = BalanceOf.ALL if role == "all" else BalanceOf.LOADS
    engine, part = open_engine(environment, config, of=of)
    app = engine_app(engine, part, with_tag=role == "all", more=[])
    admit_admin(app, environment)
    said = fields(role=role, url=f"http://{host}:{port}", data=str(environment.data))
    log.info("serving", extra=said)
    run_server(app, host=host, port=port)
    engine.close()


def open_engine(
    environment: Environment, config: Config, *, of: BalanceOf = BalanceOf.ALL
) -> "tuple[Engine, TagProcess]":
    """Open the data directory for this process, or exit 1 saying who has it."""
    # Why here: tag processes and tokens do without the database and all that works on it.
    from service.engine.clickhouse import CannotOpen, ClickHouse  # noqa: PLC0415
    from service.engine.engine import Engine  # noqa: PLC0415

    try:
        clickhouse = ClickHouse(
            environment.data,
            url=environment.clickhouse_url,
            threads=config.service.clickhouse_threads,
            reserve_bytes=config.service.database_reserve_bytes,
            memory_bytes=config.service.database_memory_bytes,
        )
    except CannotOpen as problem:
        click.echo(str(problem), err=True)
        raise SystemExit(1) from None
    balance = Balance(of)
    keys = Keys.load_or_create(environment.data / "keys.toml")
    engine = Engine(
        environment=environment,
        config=config,
        clickhouse=clickhouse,
        keys=keys,
        balance=balance,
    )
    engine.open()
    part = TagProcess(environment.data, worker=0, settings=config.service.spool, balance=balance)
    engine.counts_at_door(part.spool)
    return engine, part


def admit_admin(app: Litestar, environment: Environment) -> str:
    """Give the admin key's text: the environment's, or a new installation's, printed once."""
    ring = app.state.key_ring
    if environment.admin_key:
        return environment.admin_key
    if ring.has_admin:
        return ""
    text: str = ring.create("first start", ("admin",))
    click.echo(f"admin key (shown once, keep it): {text}", err=True)
    return text


def _refuse_example_key(host: str, config: Config) -> None:
    if host in LOOPBACK:
        return
    if any(site.write_key == "demo" for site in config.sites):
        click.echo(
            f"the example write key `demo` is refused on {host}: give the site a key of its own "
            f"in {config.folder / 'sites'}",
            err=True,
        )
        raise SystemExit(2)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
def check(*, as_json: bool) -> None:
    """Check all configuration and print every error with its file and path."""
    environment, config = settings()
    found = {
        "folder": str(config.folder),
        "timezone": str(environment.timezone),
        "sites": [each.key for each in config.sites],
        "partners": [each.key for each in config.partners],
        "seats": [each.key for each in config.seats],
        "tagging_plans": sorted(config.tagging_plans),
        "tag": f"/{tag_script.version_name()} integrity={tag_script.integrity()}",
        "warnings": config.warnings,
        "ask": open_questions(load_partners(config.folder)) + seat_questions(config.seats),
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        between = "\n  " if name in {"warnings", "ask"} else ", "
        click.echo(f"{name}: {between.join(value) if isinstance(value, list) else value}")


@click.group()
def token() -> None:
    """Make tokens that link a browser to a customer."""


@token.command("click")
@click.option("--site", required=True)
@click.option("--crm-id", required=True)
@click.option("--to", "target", required=True, help="Where the browser is sent.")
@click.option("--days", default=30)
def token_click(site: str, crm_id: str, target: str, days: int) -> None:
    """Make a newsletter link's token; the link is HOST/c/TOKEN."""
    environment, config = settings()
    _known_site(config, site)
    keys = Keys.load_or_create(environment.data / "keys.toml")
    try:
        click.echo(click_token(keys, site=site, crm_id=crm_id, target=target, days=days))
    except TokenError as problem:
        click.echo(str(problem), err=True)
        raise SystemExit(2) from None


@token.command("identify")
@click.option("--site", required=True)
@click.option("--crm-id", required=True)
def token_identify(site: str, crm_id: str) -> None:
    """Make an identify token (a JWT of 15 minutes), as the shop's backend would."""
    _, config = settings()
    known = _known_site(config, site)
    if not known.identify_secret:
        click.echo(f"set ${known.identify_secret_env} to the site's identify secret", err=True)
        raise SystemExit(2)
    now_s = int(time.time())
    click.echo(make_identify(known.identify_secret, site=site, crm_id=crm_id, now_s=now_s))


def _known_site(config: Config, key: str) -> Any:
    site = config.site(key)
    if site is None:
        known = ", ".join(each.key for each in config.sites)
        click.echo(f"there is no site {key!r}; there are {known}", err=True)
        raise SystemExit(3)
    return site
