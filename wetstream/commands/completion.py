"""The command `completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from wetstream.commands.terminal.failures import COMPLETE_VARIABLE, PROGRAM
from wetstream.commands.terminal.output import out

commands = click.Group()
SHELLS = ("bash", "zsh", "fish")


@commands.command(name="completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and options.

    In bash, put into ~/.bashrc: eval "$(wetstream completion bash)".
    """
    made = get_completion_class(shell)
    assert made is not None
    out.data(made(context.find_root().command, {}, PROGRAM, COMPLETE_VARIABLE).source().strip())
