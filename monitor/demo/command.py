"""`kms-monitor demo`: the command line of the demo."""

import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from monitor.logs import printable

LAST_LINES = 25


def demo(
    *,
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep everything open afterwards, to attack by hand.")
    ] = False,
    mode: Annotated[
        Literal["enforce", "observe"],
        typer.Option(help="observe: the monitor only says what it would do, so the keys stay bad."),
    ] = "enforce",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one object per step, and one at the end.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print the daemon's log at the end.")
    ] = False,
    svg: Annotated[
        Path | None, typer.Option(hidden=True, help="Write what is shown as a picture, too.")
    ] = None,
) -> None:
    """Play an attacker against the real daemon, on a local AWS and with an MQTT broker of its own.

    Nothing leaves this machine, and no AWS account is needed or touched.

    Exit codes: 0 every key ended as it should; 1 something did not; 2 the `simulator` extra is not
    installed; 130 ended by Ctrl-C.
    """
    started = time.perf_counter()
    # Here and not above: it loads the simulator, for which `kms-monitor --help` should not wait,
    # and which a plain installation does not have.
    try:
        from monitor.demo.run import Asked, perform  # noqa: PLC0415
        from monitor.demo.show import JsonShow, TextShow  # noqa: PLC0415
    except ModuleNotFoundError as error:
        typer.echo(
            f"kms-monitor demo: {error.name} is missing: pip install 'kms-monitor[simulator]'",
            err=True,
        )
        raise typer.Exit(2) from None
    show = JsonShow() if as_json else TextShow(started, svg)
    code, log = perform(Asked(mode=mode, stay=stay), show, started)
    if verbose or code == 1:
        shown = log if verbose else log[-LAST_LINES:]
        print("The daemon's log" + (":" if verbose else ", its last lines:"), file=sys.stderr)  # noqa: T201
        for line in shown:
            print(f"  {printable(line)}", file=sys.stderr)  # noqa: T201
    raise typer.Exit(code)
