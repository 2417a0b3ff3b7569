"""What a test needs of the machine: without it the test is skipped, or fails where it must run."""

import os
from typing import NoReturn

import pytest

REQUIRING = ("CI", "JUMELLE_REQUIRE_BROWSER")
"""Where one of these is set, no test of the browser or of Node may be skipped."""


def missing(what: str) -> NoReturn:
    """End a test that cannot run because something is missing; the text says how to get it."""
    if any(os.environ.get(name) for name in REQUIRING):
        pytest.fail(f"{what}; here this test must run")
    pytest.skip(what)
