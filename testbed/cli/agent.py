"""`testbed agent`: put the agent's place on a board, look at it, take it away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from testbed.cli.screen import FAILED, LINES
from testbed.cli.tables import show_findings
from testbed.config.plugins import Agent
from testbed.deploy import checks, deployment
from testbed.errors import BenchError

agent = typer.Typer(
    help="Put the agent's place on a board, look at it, take it away.", no_args_is_help=True, rich_markup_mode=None
)

Host = Annotated[str, typer.Argument(help="The board: user@host, or ssh://user@host:port.")]
Python = Annotated[str | None, typer.Option(help="The board's Python, 3.10 to 3.12. Default: python3.")]
SshConfig = Annotated[Path | None, typer.Option(help="Another configuration file for ssh than your own.")]


@agent.command()
def deploy(
    host: Host,
    python: Python = None,
    ssh_config: SshConfig = None,
    wheels: Annotated[
        Path | None, typer.Option(help="A folder of wheels to install from, for a board without internet.")
    ] = None,
    also: Annotated[
        list[str] | None, typer.Option(help="Another package the bench needs there: gpiod, smbus2. May be given again.")
    ] = None,
) -> None:
    """Make or renew what an agent needs on a board; prints the `agent` block for a bench file."""
    place = _place(host, python, ssh_config)
    findings = deployment.deploy(place, lambda text: LINES.print(text, markup=False), also or (), wheels)
    shown = show_findings(LINES, findings)
    LINES.print("\nUnder `board` of a bench file:\n")
    LINES.print(deployment.block(place, checks.survey(place).facts["base"]), markup=False)
    if any(finding.verdict == "wrong" for finding in shown):
        raise typer.Exit(FAILED)


@agent.command()
def check(host: Host, python: Python = None, ssh_config: SshConfig = None) -> None:
    """Look whether an agent can run on a board, and alter nothing."""
    shown = show_findings(LINES, checks.judge(checks.survey(_place(host, python, ssh_config))))
    if any(finding.verdict == "wrong" for finding in shown):
        raise typer.Exit(FAILED)


@agent.command()
def remove(host: Host, python: Python = None, ssh_config: SshConfig = None) -> None:
    """Take away all that `deploy` put on a board, and the models that runs left there."""
    for line in deployment.remove(_place(host, python, ssh_config)):
        LINES.print(line, markup=False)


def _place(host: str, python: str | None, ssh_config: Path | None) -> Agent:
    via = host if host.startswith("ssh://") else f"ssh://{host}"
    try:
        return Agent(via=via, python=python, ssh_config=ssh_config)
    except ValidationError:
        raise BenchError(f"'{host}' is no host: give user@host, or ssh://user@host:port") from None
