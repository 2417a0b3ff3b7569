"""Debian's Chromium as a process of its own, driven over its debugging port.

A folder for its data comes in, with the names it resolves and the certificate it trusts. Playwright
does not launch it, so that it has a whole profile, keeps pages to go back to, and can be killed.
"""

import base64
import datetime as dt
import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID
from required import missing

WAIT_S: Final = 15
CHROMIUM_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    # Why: it would name itself headless, and such a browser counts as a robot.
    "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/145.0 Safari/537.36",
)
THIRD_PARTY_COOKIES: Final = {"profile": {"cookie_controls_mode": 0}}
"""Why said: Debian's Chromium blocks them without a window, where most people's does not."""


@contextmanager
def start_chromium(
    folder: Path, *, resolver_rules: str, secure_origins: Iterable[str], certificate: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a browser with its data in a folder; `endpoint(folder)` says where it is driven."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        missing("no chromium on this machine (Debian: apt-get install chromium)")
    preferences = folder / "Default" / "Preferences"
    if not preferences.exists():
        preferences.parent.mkdir(parents=True)
        preferences.write_text(json.dumps(THIRD_PARTY_COOKIES))
    (folder / "DevToolsActivePort").unlink(missing_ok=True)
    # Why: what a page may do on https, it may do on these names, so that no page needs TLS.
    flags = [
        *CHROMIUM_FLAGS,
        f"--user-data-dir={folder}",
        f"--unsafely-treat-insecure-origin-as-secure={','.join(secure_origins)}",
        f"--host-resolver-rules={resolver_rules}",
        f"--ignore-certificate-errors-spki-list={fingerprint(certificate)}",
    ]
    child = subprocess.Popen(
        [binary, *flags, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait(timeout=30)


def endpoint(folder: Path) -> str:
    """Wait until the browser of a folder can be driven, and say where."""
    told = folder / "DevToolsActivePort"
    wait_until(
        lambda: told.exists() and told.read_text().count("\n"), lambda: "no browser", seconds=60
    )
    port, path = told.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"


def write_certificate(path: Path, hosts: Iterable[str]) -> None:
    """Write a key and a certificate for these hosts, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    today = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, hosts))), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))


def fingerprint(certificate: Path) -> str:
    """Give the hash by which a browser is told to trust this certificate."""
    public = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    plain = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(plain).digest()).decode()


def wait_until(
    condition: Callable[[], object], say: Callable[[], str], *, seconds: float = WAIT_S
) -> None:
    """Wait until a condition holds, or fail with what `say` tells."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {say()}"
        time.sleep(0.02)
