"""The demo's service: everything that `serve` serves, a stand-in DSP and the demo shop.

Run as `python -m service.demo.server --data DIR --port P`; it prints one JSON line when it answers.
"""

import json
import os
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import click
import httpx
import msgspec
import uvicorn

from service.app import engine_app
from service.config import Config
from service.demo.shop_routes import shop_routes
from service.demo.stand_in_dsp import create_stand_in, stand_in_partner
from service.local_commands import admit_admin, keep_private, open_engine, settings
from service.tag_server import run_server

NEVER_RETURN: Final = {"xandr": 0.12, "the_trade_desk": 0.22, "pixel": 0.35}
OPTED_OUT: Final = {"xandr": 0.06, "the_trade_desk": 0.04, "pixel": 0.02}
READY_S_MAX: Final = 60


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True)
@click.option("--port", default=8000)
def main(data: Path, port: int) -> None:
    """Serve the demo until SIGTERM."""
    keep_private(data)
    secrets_ = _secrets(data)
    os.environ |= {"JUMELLE_DATA": str(data), **secrets_}
    environment, config = settings()
    stand_in = f"http://localhost:{port + 1}"
    config = _with_stand_in(config, stand_in)
    engine, part = open_engine(environment, config)
    more = shop_routes(engine, part, f"http://127.0.0.1:{port}")
    app = engine_app(engine, part, with_tag=True, more=more)
    admin_key = admit_admin(app, environment)
    _start_stand_in(port)
    ready = {
        "url": f"http://127.0.0.1:{port}",
        "admin_key": admin_key,
        "server_key": secrets_["JUMELLE_DEMO_SERVER_KEY"],
        "identify_secret": secrets_["JUMELLE_DEMO_IDENTIFY_SECRET"],
        "stand_in": stand_in,
    }
    threading.Thread(target=_tell_when_ready, args=(ready,), daemon=True).start()
    run_server(app, host="127.0.0.1", port=port)
    engine.close()


def _secrets(data: Path) -> dict[str, str]:
    """Give the demo site's secrets; they stay the same while the data directory does."""
    path = data / "demo-secrets.json"
    if not path.exists():
        data.mkdir(parents=True, exist_ok=True)
        made = {
            "JUMELLE_DEMO_SERVER_KEY": secrets.token_urlsafe(32),
            "JUMELLE_DEMO_IDENTIFY_SECRET": secrets.token_urlsafe(32),
            "JUMELLE_ADMIN_KEY": "jk_" + secrets.token_urlsafe(32),
        }
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(made, file)
    kept: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return kept


def _with_stand_in(config: Config, base: str) -> Config:
    partners = tuple(stand_in_partner(each, base) for each in config.partners)
    return msgspec.structs.replace(config, partners=partners)


def _start_stand_in(port: int) -> None:
    app: Any = create_stand_in(
        callback_base=f"http://127.0.0.1:{port}",
        never_return=NEVER_RETURN,
        opted_out=OPTED_OUT,
        seed="demo",
    )
    settings_ = uvicorn.Config(
        app, host="localhost", port=port + 1, access_log=False, log_level="warning", ws="none"
    )
    # Why a thread: a DSP is another company's server, with a loop and a port of its own.
    server = uvicorn.Server(settings_)
    threading.Thread(target=server.run, daemon=True).start()


def _tell_when_ready(ready: dict[str, str]) -> None:
    deadline = time.monotonic() + READY_S_MAX
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{ready['url']}/readyz").status_code == httpx.codes.OK:
                break
        except httpx.HTTPError:
            time.sleep(0.05)
    sys.stdout.write(json.dumps({"ready": ready}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
