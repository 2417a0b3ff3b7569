"""compose.yaml and the Dockerfile, read: pinned, local, and named as the service reads them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from service.cli import cli
from service.config import Environment

ROOT = Path(__file__).parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.fixture
def services() -> dict[str, Any]:
    """Give the services of compose.yaml by name."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    for service in found["services"].values():
        named = {each.split(":")[0] for each in service["volumes"]}
        assert named <= set(found["volumes"])
    return found["services"]


def test_the_server_is_pinned(services: dict[str, Any]) -> None:
    """The ClickHouse image is one release, not whatever is newest."""
    assert re.fullmatch(
        r"clickhouse/clickhouse-server:\d+\.\d+\.\d+\.\d+", services["clickhouse"]["image"]
    )


def test_nothing_is_open_to_the_network(services: dict[str, Any]) -> None:
    """Every port is bound to this machine."""
    ports = [port for each in services.values() for port in each["ports"]]
    assert ports
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_jumelle_waits_for_a_healthy_server(services: dict[str, Any]) -> None:
    """Both tell whether they are well, and Jumelle starts when the server is."""
    assert all("test" in each["healthcheck"] for each in services.values())
    assert services["jumelle"]["depends_on"] == {"clickhouse": {"condition": "service_healthy"}}


def test_the_settings_are_those_that_the_service_reads(services: dict[str, Any]) -> None:
    """The environment names the server in the network, with the server's own user."""
    values = services["jumelle"]["environment"]
    read = Environment.read({**values, "JUMELLE_TIMEZONE": "UTC"})
    user = services["clickhouse"]["environment"]["CLICKHOUSE_USER"]
    assert read.clickhouse_url == f"http://{user}:${{CLICKHOUSE_PASSWORD}}@clickhouse:8123"
    assert str(read.data) in {volume.split(":")[1] for volume in services["jumelle"]["volumes"]}
    source = (ROOT / "service" / "config.py").read_text(encoding="utf-8")
    assert [name for name in values if f'"{name}"' not in source] == []


def test_the_image_runs_what_the_command_line_knows() -> None:
    """The image is built on glibc, runs as nobody's root, and starts with options that exist."""
    assert "FROM python:3.11-slim\n" in DOCKERFILE
    assert DOCKERFILE.index("USER jumelle") < DOCKERFILE.index("ENTRYPOINT")
    words = re.findall(r'"([^"]+)"', DOCKERFILE.split("\nCMD ")[1])
    help_text = CliRunner().invoke(cli, [words[0], "--help"]).output
    assert [word for word in words if word.startswith("--") and word not in help_text] == []


def test_the_image_gets_what_the_wheel_is_made_of() -> None:
    """Every package that is shipped is copied, and let in by .dockerignore."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    shipped = re.findall(r'"([^"]+)"', re.findall(r"only-include = \[(.*?)\]", project)[0])
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for folder in shipped:
        assert f"COPY {folder} ./{folder}" in DOCKERFILE
        assert f"!{folder.split('/')[0]}" in let_in
