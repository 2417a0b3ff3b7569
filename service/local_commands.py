"""The commands that work on this machine's data directory: serve, check, token, doctor.

Data goes to stdout, messages to stderr; what needs the running service is in `cli_api.py`.
"""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any, Final

import click
import httpx
import uvicorn
from litestar import Litestar

from service.app import engine_app, tag_app
from service.config import (
    Config,
    ConfigErrors,
    Environment,
    load_config,
    prepare_config,
    read_environment,
)
from service.engine.clickhouse import ClickHouse, DataInUse, take_lock
from service.engine.engine import Engine
from service.metrics import Balance
from service.tag.process import TagProcess
from service.tag.tokens import CLICK_LIVES_S_MAX, Click, Keys, make_click, make_identify

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
KEEP_ALIVE_S: Final = 65


def settings() -> tuple[Environment, Config]:
    """Read environment and configuration; on any fault print all of them and exit 2."""
    try:
        environment = read_environment()
        environment.data.mkdir(parents=True, exist_ok=True)
        return environment, load_config(prepare_config(environment.data))
    except ConfigErrors as problem:
        for line in problem.errors:
            click.echo(line, err=True)
        raise SystemExit(2) from None


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
def serve(role: str, host: str, port: int, tag_port: int, tag_workers: int, worker: int) -> None:
    """Serve tag, engine or both."""
    environment, config = settings()
    _refuse_example_key(host, config)
    if role == "tag":
        _serve_tag(environment, config, host=host, port=tag_port, workers=tag_workers, own=worker)
        return
    engine, part = open_engine(environment, config)
    app = engine_app(engine, part, with_tag=role == "all", more=[])
    admit_admin(app, environment)
    where = f"http://{host}:{port}"
    click.echo(f"{role} at {where}, data in {environment.data}", err=True)
    run_server(app, host=host, port=port)
    engine.close()


def open_engine(environment: Environment, config: Config) -> tuple[Engine, TagProcess]:
    """Open the data directory for this process, or exit 1 saying who has it."""
    try:
        clickhouse = ClickHouse(
            environment.data,
            url=environment.clickhouse_url,
            threads=config.service.clickhouse_threads,
        )
    except DataInUse as problem:
        click.echo(str(problem), err=True)
        raise SystemExit(1) from None
    balance = Balance()
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
    return engine, part


def admit_admin(app: Litestar, environment: Environment) -> str:
    """Make the admin key of a new installation and print it once; give the key's text."""
    ring = app.state.key_ring
    if environment.admin_key:
        if ring.find(environment.admin_key) is None:
            ring.admit(environment.admin_key, "JUMELLE_ADMIN_KEY", ("admin",))
        return environment.admin_key
    if ring.has_admin:
        return ""
    text: str = ring.create("first start", ("admin",))
    click.echo(f"admin key (shown once, keep it): {text}", err=True)
    return text


def run_server(app: Litestar, *, host: str, port: int, share_port: bool = False) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings_ = uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=10,
    )
    sockets = [_shared_socket(host, port)] if share_port else None
    # Why: the server raises its signal again once it has answered everybody; by then there is only
    # the database to close.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(settings_).run(sockets=sockets)


def _shared_socket(host: str, port: int) -> socket.socket:
    shared = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    shared.bind((host, port))
    return shared


def _serve_tag(
    environment: Environment, config: Config, *, host: str, port: int, workers: int, own: int
) -> None:
    others = [_spawn_tag(host, port, number) for number in range(1, workers) if own == 0]
    balance = Balance()
    part = TagProcess(environment.data, worker=own, settings=config.service.spool, balance=balance)
    click.echo(f"tag {own} at http://{host}:{port}", err=True)
    try:
        run_server(tag_app(part, balance), host=host, port=port, share_port=True)
    finally:
        for each in others:
            each.terminate()
        for each in others:
            each.wait()


def _spawn_tag(host: str, port: int, number: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "service.cli", "serve", "--role", "tag", "--host", host]
    command += ["--tag-port", str(port), "--worker", str(number)]
    return subprocess.Popen(command)  # noqa: S603 - our own program with our own arguments


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
    }
    if as_json:
        click.echo(json.dumps(found))
        return
    for name, value in found.items():
        click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


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
    click.echo(click_token(keys, site=site, crm_id=crm_id, target=target, days=days))


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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one object.")
def doctor(*, as_json: bool) -> None:
    """Say what is wrong with this installation; asks the service when it is running."""
    environment, config = settings()
    found: dict[str, Any] = {"data": str(environment.data), "sites": len(config.sites)}
    try:
        take_lock(environment.data).close()
        found["running"] = False
        waiting = environment.data / "spool"
        found["chunks_waiting"] = len(list(waiting.glob("*/*.chunk"))) if waiting.exists() else 0
    except DataInUse:
        found["running"] = True
        url = os.environ.get("JUMELLE_URL", "http://127.0.0.1:8000")
        try:
            found["readyz"] = httpx.get(f"{url}/readyz", timeout=5).json()
        except httpx.HTTPError as problem:
            click.echo(f"the data directory is in use, but {url} says: {problem}", err=True)
            raise SystemExit(1) from None
    lines = json.dumps(found) if as_json else "\n".join(f"{k}: {v}" for k, v in found.items())
    click.echo(lines)
