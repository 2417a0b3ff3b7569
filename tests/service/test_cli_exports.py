"""The commands about exports: what they ask of the API, what they show, how they end."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from service.cli_exports import export, seat
from service.cli_output import stdout
from service.cli_waterfall import waterfall_of_segment

STAGES: list[dict[str, Any]] = [
    {"stage": "members", "people": 100, "lost": []},
    {"stage": "browsers", "people": 90, "lost": [{"reason": "no_browser", "people": 10}]},
    {"stage": "sent", "people": None, "lost": [{"reason": "below_minimum", "people": None}]},
]
SEGMENT = {"seat": "x", "audience": "champions", "segment": "17", "ids": 91, "waterfall": STAGES}


@pytest.mark.parametrize("wish", ["--hold", "--release", "--resend"])
def test_a_wish_needs_a_seat(wish: str) -> None:
    """To hold, release or resend everything by accident is a usage error."""
    result = CliRunner(env={"JUMELLE_API_KEY": "k"}).invoke(export, ["run", wish])
    assert (result.exit_code, "name the seats" in result.output) == (2, True)


@pytest.mark.parametrize("command", [export, seat])
def test_every_command_says_what_it_does(command: click.Group) -> None:
    """Each command and each of its options has a text of help."""
    for each in command.commands.values():
        assert each.help
        options = [one for one in each.params if isinstance(one, click.Option)]
        assert all(one.help for one in options if one.name != "help")


def test_a_waterfall_has_bars(capsys: pytest.CaptureFixture[str]) -> None:
    """Each stage stands with its bar, people and share, and what the lost were lost by."""
    stdout().print(waterfall_of_segment(SEGMENT))
    shown = capsys.readouterr().out
    assert "champions on x" in shown
    lines = {line.strip().split("  ")[0]: line for line in shown.splitlines()}
    assert "█" * 28 in lines["members"]
    assert "90.0 %" in lines["with a browser"]
    assert "no_browser 10" in lines["with a browser"]
    assert "below_minimum <20" in lines["sent"]
