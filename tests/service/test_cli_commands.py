"""The command tree: every command of the public interface exists and explains itself."""

import click
import pytest
from click.testing import CliRunner

from service.cli import cli

COMMANDS = [
    "serve",
    "demo",
    "check",
    "token click",
    "token identify",
    "doctor",
    "key create",
    "import",
    "audience list",
    "audience show",
    "audience preview",
    "audience plan",
    "audience apply",
    "audience build",
    "audience members",
    "audience overlap",
    "audience activate",
    "audience delete",
    "lookalike like",
    "lookalike overlap",
    "lookalike preview",
    "lookalike save",
    "lookalike sketch",
    "seat list",
    "seat show",
    "export run",
    "export list",
    "export show",
    "partner list",
    "partner show",
    "partner test",
    "identity show",
    "privacy access",
    "privacy erase",
    "privacy suppress",
    "privacy lift",
    "privacy receipts",
    "bad list",
    "bad replay",
    "jobs list",
    "jobs run",
]


def leaves(group: click.Group, before: str = "") -> list[str]:
    """List the full names of all commands under a group."""
    names = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        full = f"{before}{name}"
        names += leaves(command, f"{full} ") if isinstance(command, click.Group) else [full]
    return names


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself(name: str) -> None:
    """Its help names it and says what it does."""
    result = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert f"{name} " in result.stdout


def test_there_is_no_command_beyond_those_listed() -> None:
    """A new command is to be listed here, so that it is documented."""
    assert set(leaves(cli)) == set(COMMANDS)
