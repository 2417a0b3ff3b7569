"""`jumelle check` refuses contacts that a partner cannot read, and asks where nobody knows."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from contact_shop import PARTNERS

from service.cli import cli
from service.config import prepare_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Give the example configuration with Google and LiveRamp as partners."""
    folder = prepare_config(tmp_path)
    for key in ("google", "liveramp"):
        (folder / "partners" / f"{key}.toml").write_text(PARTNERS[key])
    return folder


def checked(config: Path, seat: str, *changes: tuple[str, str]) -> Result:
    """Take a template over, changed, and check the whole configuration."""
    path = config / "seats" / f"{seat}.toml"
    shutil.copy(config / "seat_templates" / f"{seat}.toml", path)
    for before, after in (("partner_min_size = ", "min_size = "), *changes):
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))
    env = {"JUMELLE_DATA": str(config.parent)}
    return CliRunner(env=env).invoke(cli, ["check", "--json"])


SPACES = ('["email_google", "phone_google"]', '["email_uid2"]')
FORM = ('normalize = "google"', 'normalize = "uid2"')
FOUND = "`id_spaces` holds email_uid2, hashed in the form 'uid2', "
NOT_THE_SEATS = f"{FOUND}but `ids.normalize` is 'google', which allows email_google, phone_google"
NOT_GOOGLES = f"{FOUND}which google cannot read; use email_google"


@pytest.mark.parametrize(
    ("changes", "said"),
    [([SPACES], NOT_THE_SEATS), ([SPACES], NOT_GOOGLES), ([SPACES, FORM], NOT_GOOGLES)],
    ids=["not what the seat says", "nor what Google reads", "not what Google reads"],
)
def test_customer_match_takes_no_hashes_of_uid2(
    config: Path, changes: list[tuple[str, str]], said: str
) -> None:
    """The error names the seat, the field, what was found and what is allowed; nothing starts."""
    result = checked(config, "google_customer_match", *changes)
    assert result.exit_code == 2
    assert f"google_customer_match.toml: seat google_customer_match: {said}" in result.stderr


def test_a_form_that_nobody_vouches_for_is_asked_about(config: Path) -> None:
    """What one integration alone writes can be used, and stands among the questions."""
    result = checked(
        config,
        "liveramp",
        ('["email_liveramp"]', '["phone_liveramp"]'),
        ('id_space = "email_liveramp"', 'id_space = "phone_liveramp"'),
    )
    assert result.exit_code == 0, result.output
    asked = json.loads(result.stdout)["ask"]
    assert (
        "seat liveramp: ask liveramp about id_spaces: only one integration writes phone_liveramp so"
    ) in asked
