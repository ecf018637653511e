"""The `capacity` command.

Exit codes: 0 ran to the end; 99 a verdict failed; 1 run-time error; 2 bad usage
or input; 130 interrupted. Commands import what they need when they run, so that
planning stays light.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from capacity.interfaces import (
    commands_actuals,
    commands_check,
    commands_compare,
    commands_drift,
    commands_forecast,
    commands_import,
    commands_import_prometheus,
    commands_knee,
    commands_loadtests,
    commands_model,
    commands_plan,
    commands_simulation,
    commands_thresholds,
)
from capacity.interfaces.console import messages
from loadtests.foundation.errors import CapacityError

app = typer.Typer(
    name="capacity",
    help="Capacity planning from evidence: load test, calibrated model, instances, timeline.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from loadtests.foundation.versions import versions_of

        typer.echo(f"fluxor-capacity {versions_of()['fluxor-capacity']}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Capacity planning from evidence: load test, calibrated model, instances, timeline."""


_COMMANDS = (
    *commands_loadtests.COMMANDS, *commands_import.COMMANDS, *commands_import_prometheus.COMMANDS,
    *commands_knee.COMMANDS, *commands_check.COMMANDS, *commands_compare.COMMANDS, *commands_model.COMMANDS,
    *commands_drift.COMMANDS,
    *commands_simulation.COMMANDS, *commands_forecast.COMMANDS, *commands_plan.COMMANDS, *commands_actuals.COMMANDS,
    *commands_thresholds.COMMANDS,
)  # fmt: skip
for command in _COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors become a message on stderr."""
    try:
        app(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    except CapacityError as error:
        _complain(error)
        return error.exit_code
    except OSError as error:
        _complain(error)
        return 1
    return 0


def _complain(error: Exception) -> None:
    messages().print(f"capacity: {error}", style="red", markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
