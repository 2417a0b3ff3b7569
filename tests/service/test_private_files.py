"""What lies on the disk may be read by the service's own user alone, and tells what it lacks."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from service.cli import cli
from service.engine.tombstones import Act, Tombstone, Tombstones
from service.local_commands import keep_private
from service.tag import spool as spool_module
from service.tag.spool import Spool, SpoolSettings
from service.tag.tag_state import TagState, write_tag_state
from service.tag.tokens import Keys


@contextmanager
def open_umask() -> Iterator[None]:
    """Work under the umask with which files are most easily left open."""
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def modes(folder: Path) -> dict[str, str]:
    """Give what group and others may do, of all that they may do anything with."""
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    return {str(path): oct(mode) for path, mode in found.items() if mode & 0o077}


def test_secrets_are_private_under_any_umask(tmp_path: Path) -> None:
    """Keys, tombstones, published state and spool files are the owner's alone, each by itself."""
    with open_umask():
        keys = Keys.load_or_create(tmp_path / "keys.toml")
        tombstone = Tombstone(act=Act.SUPPRESS, at_ms=1, receipt="r", hashes=("h",))
        Tombstones(tmp_path / "tombstones.log", keys).add(tombstone)
        (tmp_path / "tag-state").touch()
        write_tag_state(tmp_path / "tag-state", TagState(published_s=1, sites=()))
        (tmp_path / "spool").mkdir(mode=0o700)
        settings = SpoolSettings(reserve_bytes=0)
        spool = Spool(tmp_path / "spool", writer="w0-1", settings=settings, clock=lambda: 0.0)
        spool.append([b"record"])
        spool.close_chunk()
        spool.append([b"record"])
    left = modes(tmp_path)
    spool.close()
    assert left.keys() <= {str(tmp_path)}


def test_a_data_directory_becomes_private(tmp_path: Path) -> None:
    """A directory that stood open is closed, and so is what is made in it afterwards."""
    with open_umask():
        data = tmp_path / "data"
        data.mkdir()
        keep_private(data)
        (data / "any").write_text("thing")
        keep_private(tmp_path / "new" / "data")
        assert modes(data) == {}
        assert modes(tmp_path / "new" / "data") == {}


def test_a_platform_without_fdatasync_syncs_all_the_same() -> None:
    """Where the system has no fdatasync, fsync is what brings a chunk to the disk."""
    assert spool_module.sync_call(os) is getattr(os, "fdatasync", os.fsync)

    class Mac:
        fsync = staticmethod(os.fsync)

    assert spool_module.sync_call(Mac) is os.fsync


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let commands work on a data directory of their own."""
    monkeypatch.setenv("JUMELLE_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.mark.usefixtures("in_folder")
def test_check_tells_of_a_missing_public_url() -> None:
    """Without public_url partners can call back few hosts only, and `check` says so."""
    found = json.loads(CliRunner().invoke(cli, ["check", "--json"]).stdout)
    assert "public_url" in found["warnings"][0]


def test_check_is_content_with_a_public_url(in_folder: Path) -> None:
    """With public_url there is nothing to warn of."""
    CliRunner().invoke(cli, ["check"])
    file = in_folder / "config" / "service.toml"
    text = file.read_text().replace('public_url = ""', 'public_url = "https://t.example"')
    file.write_text(text)
    assert json.loads(CliRunner().invoke(cli, ["check", "--json"]).stdout)["warnings"] == []


@pytest.mark.usefixtures("in_folder")
@pytest.mark.parametrize(("target", "code"), [("javascript:x", 2), ("https://shop.example/", 0)])
def test_click_targets_are_checked_when_made(target: str, code: int) -> None:
    """A link that leads to no web page is refused with the reason."""
    command = ["token", "click", "--site", "demo", "--crm-id", "1", "--to", target]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == code
    assert ("cannot lead to" in result.stderr) is (code == 2)


@pytest.mark.clickhouse
@pytest.mark.slow
def test_a_running_service_leaves_nothing_open(serve: Any, tmp_path: Path) -> None:
    """All that the service itself writes while it runs is its user's alone."""
    before = os.umask(0o022)
    try:
        with serve(tmp_path, lambda _: None) as served:
            page = {"type": "page", "messageId": "m"}
            answer = httpx.post(f"{served.url}/t?key=demo", json=page)
            assert answer.status_code == httpx.codes.NO_CONTENT
            served.loads()
            config = str(served.data / "config")
            assert [path for path in modes(served.data) if not path.startswith(config)] == []
    finally:
        os.umask(before)
