"""The built files: small enough, and equal to what their sources give."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest
from required import missing

ROOT = Path(__file__).parent.parent.parent
TAG_SDK = ROOT / "tag_sdk"
INSTALL_SECONDS = 60


@pytest.mark.parametrize(
    ("name", "gzip_bytes_max"), [("jumelle.js", 6 * 1024), ("stub.js", 1024)], ids=["tag", "stub"]
)
def test_built_file_is_within_its_budget(name: str, gzip_bytes_max: int) -> None:
    """The tag has at most 6 KB gzipped, the stub at most 1 KB."""
    built = (TAG_SDK / "dist" / name).read_bytes()
    assert len(gzip.compress(built, 9)) <= gzip_bytes_max


def test_demo_shop_carries_the_built_stub() -> None:
    """The shop's stub is the one of the tag."""
    shop = ROOT / "service" / "demo" / "shop" / "stub.js"
    assert shop.read_bytes() == (TAG_SDK / "dist" / "stub.js").read_bytes()


@pytest.mark.node
def test_built_files_equal_a_fresh_build() -> None:
    """`npm run check` finds the committed files equal to a fresh build of their sources."""
    npm = shutil.which("npm")
    if npm is None:
        missing("no npm on this machine (Debian: apt-get install npm)")
    if not (TAG_SDK / "node_modules" / "esbuild").is_dir():
        install(npm)
    check = run(npm, "run", "check")
    assert check.returncode == 0, check.stdout + check.stderr


def install(npm: str) -> None:
    """Install esbuild, which needs the registry."""
    try:
        installed = run(npm, "install", "--no-save")
    except subprocess.TimeoutExpired:
        missing(f"npm install took longer than {INSTALL_SECONDS} s")
    if installed.returncode:
        missing(f"npm install failed: {installed.stderr[-300:]}")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the tag's folder."""
    return subprocess.run(
        command,
        cwd=TAG_SDK,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        check=False,
    )
