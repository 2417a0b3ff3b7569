"""README is true: every command, setting and route that it names exists, and the reverse."""

import re
from collections.abc import Iterator
from pathlib import Path

import click

from service.app import API
from service.cli import cli
from service.tag.routes import PATHS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = ("service", "audiences", "matching")


def commands(group: click.Group, before: str = "jumelle") -> Iterator[str]:
    """List every command by the words that call it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = f"{before} {name}"
        if isinstance(command, click.Group):
            yield from commands(command, words)
        else:
            yield words


def test_every_command_is_in_the_readme_and_the_reverse() -> None:
    """What README calls a command can be called, and what can be called is in README."""
    named = {match.strip() for match in re.findall(r"`(jumelle [a-z][a-z ]*)", README)}
    assert named == set(commands(cli))


def test_every_setting_is_in_the_readme_and_the_reverse() -> None:
    """README's variables are those that the service reads."""
    named = set(re.findall(r"JUMELLE_[A-Z_]+", README))
    read = {
        found
        for package in SOURCES
        for path in (ROOT / package).rglob("*.py")
        for found in re.findall(r"JUMELLE_[A-Z_]+", path.read_text(encoding="utf-8"))
        if not found.startswith("JUMELLE_DEMO")
    }
    assert named == read


def test_every_tag_route_is_in_the_readme() -> None:
    """Each path of the tag port stands in README."""
    for path in PATHS:
        shown = path.replace(":str", "").replace("type_", "type")
        assert f"{shown}`" in README or f"{shown} " in README, shown


def test_every_operator_route_in_the_readme_exists() -> None:
    """The routes that README names outside `/api` are served."""
    served = {path for handler in API for path in getattr(handler, "paths", ())}
    for path in ("/v1/me/audiences", "/livez", "/readyz", "/metrics"):
        assert path in served
        assert path in README


def test_every_file_in_the_readme_exists() -> None:
    """A path that README shows in code style is there."""
    shown = re.findall(r"`((?:service|audiences|matching|tests|tag_sdk)/[\w./]*)`", README)
    missing = [path for path in shown if not (ROOT / path).exists()]
    assert shown
    assert missing == []


def test_the_recipes_in_the_readme_are_those_that_tests_run() -> None:
    """Each recipe for identify tokens stands in README word for word, and no other."""
    section = README.partition("\n## Identify tokens\n")[2].partition("\n## ")[0]
    shown = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    recipes = [path for path in (ROOT / "tests/cases/recipes").iterdir() if path.is_file()]
    assert sorted(shown) == sorted(path.read_text(encoding="utf-8") for path in recipes)
