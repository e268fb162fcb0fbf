"""`kms-monitor demo`: the command line of the demo."""

import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from monitor.logs import printable

LAST_LINES = 15
LONGEST_LINE = 180


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
    for name in ("amqtt", "moto"):
        if find_spec(name) is None:
            missing(name)
    # Here and not above: `kms-monitor --help` should not wait for the simulator, which a plain
    # installation does not have.
    from monitor.demo.show import JsonShow, TextShow  # noqa: PLC0415

    show = JsonShow() if as_json else TextShow(started, svg)
    show.busy("starting the local AWS")
    try:
        from monitor.demo.run import Asked, perform  # noqa: PLC0415
    except ModuleNotFoundError as error:
        missing(error.name or "a module")
    code, log = perform(Asked(mode=mode, stay=stay), show, started)
    if verbose or code == 1:
        say("The daemon's log:" if verbose else "The daemon's last log lines (all: --verbose):")
        for line in log if verbose else map(short, log[-LAST_LINES:]):
            say(f"  {printable(line)}")
    if code > 128:
        say("kms-monitor demo: ended by a signal, and everything that it had started")
    raise typer.Exit(code)


def missing(name: str) -> NoReturn:
    say(f"kms-monitor demo: {name} is missing: pip install 'kms-monitor[simulator]'")
    raise typer.Exit(2)


def say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


def short(line: str) -> str:
    """A line of the JSON log as people read it best, cut."""
    try:
        entry = json.loads(line)
        head = [str(entry.pop("timestamp"))[11:23], entry.pop("level"), entry.pop("event")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return line[:LONGEST_LINE]
    rest = [f"{name}={value}" for name, value in entry.items()]
    return " ".join([*head, *rest])[:LONGEST_LINE]
