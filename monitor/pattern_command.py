"""The command `kms-monitor generate event-pattern`."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from monitor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from monitor.detector import Detector
    from monitor.event import Wanted
    from monitor.knowledge import Knowledge
    from monitor.plugins import Loaded
    from monitor.sight.pattern_writer import RulePattern


def event_pattern(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            envvar="KMS_MONITOR_CONFIG",
            help="The settings file that says which detectors are on; without one, those that are "
            "on by default.",
        ),
    ] = None,
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON array with a pattern for each rule.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Write event-pattern-N.json files there instead."
        ),
    ] = None,
) -> None:
    """Print EventBridge patterns for exactly the events that the enabled detectors look at.

    One pattern a line, each for a rule of its own: a pattern may have 2,048 characters. What the
    rules need besides is said on stderr.

    Exit codes: 0 all is well; 2 the settings or the command line are wrong.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor.sight.pattern_writer import rule_patterns  # noqa: PLC0415

    try:
        wanted = wanted_by(config)
    except SettingsError as error:
        fail(*error.faults)
    written = rule_patterns(wanted)
    if output is not None:
        try:
            write(output, written)
        except OSError as error:
            fail(f"{error.filename or output}: cannot be written: {error.strerror}")
    elif as_json:
        patterns: list[Mapping[str, Any]] = [json.loads(one.text) for one in written]
        typer.echo(json.dumps(patterns, indent=2))
    else:
        for one in written:
            typer.echo(one.text)
    for note in notes(wanted, written):
        typer.echo(note, err=True)


def wanted_by(config: Path | None) -> "Wanted":
    """What the detectors of the settings look at. Raises `SettingsError`."""
    from monitor import plugins  # noqa: PLC0415
    from monitor.assembly import load  # noqa: PLC0415
    from monitor.knowledge import Knowledge  # noqa: PLC0415
    from monitor.settings_file import read_settings  # noqa: PLC0415

    if config is not None:
        return wanted_of(load(read_settings(config, os.environ), config))
    knowledge = Knowledge()
    kinds = [plugins.load("detectors", name) for name in plugins.chosen({}, defaults=True)]
    return wanted_by_these([kind(kind.Options(), knowledge) for kind in kinds], knowledge)


def wanted_of(loaded: "Loaded") -> "Wanted":
    """What these detectors look at."""
    from monitor.knowledge import Knowledge  # noqa: PLC0415

    knowledge = Knowledge()
    return wanted_by_these([make(knowledge) for make in loaded.detectors.values()], knowledge)


def wanted_by_these(made: "list[Detector]", knowledge: "Knowledge") -> "Wanted":
    from monitor.detection import Detection  # noqa: PLC0415
    from monitor.metrics import Metrics  # noqa: PLC0415

    return Detection(made, Metrics(), knowledge).wanted


def write(directory: Path, written: "list[RulePattern]") -> None:
    """One file for each rule. Those of an earlier time that are no longer needed go away."""
    directory.mkdir(parents=True, exist_ok=True)
    names = [f"event-pattern-{number}.json" for number in range(1, len(written) + 1)]
    for name, one in zip(names, written, strict=True):
        (directory / name).write_text(one.text + "\n", encoding="utf-8")
        typer.echo(str(directory / name))
    for old in directory.glob("event-pattern-*.json"):
        if old.name not in names and old.stem.removeprefix("event-pattern-").isdigit():
            old.unlink()


def notes(wanted: "Wanted", written: "list[RulePattern]") -> list[str]:
    """What is to be known about the rules: their states, and where they have to be."""
    from monitor.sight.pattern_writer import GLOBAL  # noqa: PLC0415

    found: list[str] = []
    for number, one in enumerate(written, 1):
        if one.reads:
            found.append(
                f"pattern {number}: its rule needs the state "
                f"ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS, for these only read: "
                f"{', '.join(one.reads)}"
            )
    sources = {call[0] for call in (*wanted.calls, *wanted.failures)}
    if distant := sorted(sources & GLOBAL):
        found.append(
            f"events of {', '.join(distant)} are in us-east-1 only: these rules are needed there, "
            "too, with a rule that sends them on"
        )
    if len(written) > 1:
        found.append(f"{len(written)} patterns: each needs a rule of its own with the same targets")
    return found


def fail(*faults: str) -> NoReturn:
    for fault in faults:
        typer.echo(f"kms-monitor: {fault}", err=True)
    raise typer.Exit(2)
