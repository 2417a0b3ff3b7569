"""The command `jumelle`: every command by name.

Local commands work on the data directory, the others are clients of the API. What a command does
stands in the `cli_*` file of its subject.
"""

from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import click

from service.cli_audiences import audience, lookalike
from service.cli_customers import import_, privacy
from service.cli_exports import export, seat
from service.cli_identity import identity
from service.cli_operation import bad, jobs, key
from service.cli_partners import partner
from service.cli_session import CommandError, json_option

API_COMMANDS: tuple[click.Command, ...] = (
    key,
    import_,
    audience,
    lookalike,
    seat,
    export,
    partner,
    identity,
    privacy,
    bad,
    jobs,
)


LOCAL_COMMANDS = {
    **dict.fromkeys(("serve", "check", "token"), "service.local_commands"),
    "doctor": "service.doctor",
}
"""Which module has which."""


class LazyGroup(click.Group):
    """Loads the local commands when one is asked for: they bring the whole service with them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name every command."""
        return sorted({*super().list_commands(ctx), *LOCAL_COMMANDS})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by name."""
        if cmd_name in LOCAL_COMMANDS:
            found: click.Command = getattr(import_module(LOCAL_COMMANDS[cmd_name]), cmd_name)
            return found
        return super().get_command(ctx, cmd_name)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(version("jumelle"), prog_name="jumelle")
def cli() -> None:
    """Jumelle: who is who, which audiences they belong to, and files for those who advertise.

    Data goes to stdout, messages to stderr. Exit codes: 0 ok, 1 failed, 2 usage, 3 not found,
    4 partly done. Commands that speak to the API take JUMELLE_URL and JUMELLE_API_KEY, else
    JUMELLE_ADMIN_KEY.
    """


@click.command()
@click.option("--once", is_flag=True, help="Stop when the summary is printed.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="JUMELLE_DATA",
    default=Path("jumelle-data"),
    show_default=True,
    help="The data directory.",
)
@click.option("--port", type=click.IntRange(1, 65534), default=8000, show_default=True)
@click.option("--households", type=click.IntRange(1), help="Play only so many; default: all.")
@json_option
def demo(once: bool, data: Path, port: int, households: int | None, as_json: bool) -> None:
    """Play a year of real purchases through the whole service and leave it open."""
    try:
        # Why here: the purchases and pandas come with an extra that servers do without.
        from service.demo.play import play  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CommandError(
            f"the demo's purchases are not installed ({error.name} is missing); "
            "install them with `pip install 'jumelle[demo]'`"
        ) from error
    play(data=data, port=port, households=households, once=once, as_json=as_json)


def main() -> None:
    """Run `jumelle`."""
    cli(prog_name="jumelle")


for command in (demo, *API_COMMANDS):
    cli.add_command(command)

if __name__ == "__main__":
    main()
