"""The command `kms-monitor`.

Exit codes: 0 all is well; 1 it did not end as it should; 2 the settings or the command line are
wrong.
"""

import asyncio
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from monitor.approving.command import approvals, approve
from monitor.baseline_command import baseline
from monitor.catalogue_command import generate_detectors, list_plugins
from monitor.checking.command import check
from monitor.contain_command import contain
from monitor.demo.command import demo
from monitor.dlq.command import dlq
from monitor.errors import SettingsError
from monitor.incidents_command import incidents
from monitor.log_command import log
from monitor.material.command import material
from monitor.pattern_command import event_pattern
from monitor.replay.command import replay
from monitor.rights.command import iam
from monitor.serverless.command import EXAMPLE as INVOKE_EXAMPLE
from monitor.serverless.command import invoke
from monitor.simulator.command import simulate
from monitor.stack.command import stack
from monitor.tell_command import tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from monitor import plugins
    from monitor.app import App
    from monitor.settings import Settings

app = typer.Typer(
    name="kms-monitor",
    help="Keeps AWS KMS keys alive: detects, undoes, verifies and tells.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
app.command(epilog="Example: kms-monitor simulate --deny 'mallory:kms:Schedule*' --duplicates 0.2")(
    simulate
)
app.command(epilog="Example: kms-monitor demo --stay")(demo)
app.command(epilog="Example: kms-monitor replay s3://my-trail/AWSLogs --from 7d")(replay)
app.command(epilog=INVOKE_EXAMPLE)(invoke)
app.add_typer(incidents, name="incidents")
app.command(epilog="Example: kms-monitor check --config config/example.yaml --offline")(check)
app.command(epilog="Example: kms-monitor tell --only slack")(tell)
generate = typer.Typer(help="Write files that are made from the code.", no_args_is_help=True)
generate.command(
    "event-pattern", epilog="Example: kms-monitor generate event-pattern --output rules/"
)(event_pattern)
generate.command(
    "iam", epilog="Example: kms-monitor generate iam --kind trust --account 444455556666"
)(iam)
generate.command("stack", epilog="Example: kms-monitor generate stack --kind member > member.yaml")(
    stack
)
app.add_typer(generate, name="generate")
app.add_typer(dlq, name="dlq")
app.add_typer(material, name="material")
app.add_typer(log, name="log")
app.command(
    epilog="Example: kms-monitor approve --key ARN --action DisableKey --actor"
    " arn:aws:iam::111122223333:role/key-admins --until 2h --ticket CHG-1"
)(approve)
app.add_typer(approvals, name="approvals")
app.add_typer(baseline, name="baseline")
app.add_typer(contain, name="contain")
app.command("plugins", epilog="Example: kms-monitor plugins --detectors")(list_plugins)
generate.command("detectors", epilog="Example: kms-monitor generate detectors > detectors.md")(
    generate_detectors
)

ConfigOption = Annotated[
    Path,
    typer.Option(
        "--config",
        "-c",
        envvar="KMS_MONITOR_CONFIG",
        help="The settings file.",
        show_default=True,
    ),
]
DEFAULT_CONFIG = Path("kms-monitor.yaml")


@app.command(epilog="Example: kms-monitor run --config config/example.yaml")
def run(config: ConfigOption = DEFAULT_CONFIG) -> None:
    """Run the daemon until SIGTERM or SIGINT.

    The first signal finishes what is in flight; a second one ends at once. SIGHUP reads the settings
    again; so does a change of the file.
    """
    # As the first process of a container we get no signal that nobody handles. Until the loop does, there is
    # nothing to finish.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    # Imported here, so that --help and the other commands start fast.
    import structlog  # noqa: PLC0415

    from monitor import logs  # noqa: PLC0415
    from monitor.app import App  # noqa: PLC0415
    from monitor.private_memory import keep_private  # noqa: PLC0415

    settings, loaded = read(config)
    logs.set_up(settings.log.level, settings.log.format)
    if settings.escrows:
        # Before any material comes into this process.
        for problem in keep_private():
            structlog.get_logger("run").warning("key material may be seen", problem=problem)
    try:
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            runner.run(live(App(settings, loaded, file=config)))
    except SettingsError as error:
        fail(error)


async def live(daemon: "App") -> None:
    """Run the daemon, with its signals."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if daemon.stopping.is_set():
            os._exit(1)
        daemon.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, daemon.reload)
    await daemon.run()


def fast_loop() -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """uvloop's event loop where it is installed."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return None
    return uvloop.new_event_loop


@app.command(epilog="Example: kms-monitor health --url http://127.0.0.1:8080/readyz")
def health(
    url: Annotated[
        str, typer.Option(envvar="KMS_MONITOR_HEALTH_URL", help="The probe to ask.")
    ] = "http://127.0.0.1:8080/healthz",
) -> None:
    """Ask a running daemon how it is: exit code 0 if it says that all is well, else 1."""
    from monitor.probe import ask  # noqa: PLC0415

    well, text = ask(url)
    typer.echo(text, err=not well)
    raise typer.Exit(0 if well else 1)


@generate.command(epilog="Example: kms-monitor generate schema > config/schema.json")
def schema(
    *,
    serverless: Annotated[
        bool, typer.Option("--serverless", help="Of the settings of a function.")
    ] = False,
) -> None:
    """Print the JSON schema of the settings, for editors."""
    import json  # noqa: PLC0415

    from monitor.schema import settings_schema  # noqa: PLC0415
    from monitor.serverless.settings import ServerlessSettings  # noqa: PLC0415
    from monitor.settings import Settings  # noqa: PLC0415

    try:
        found = settings_schema(ServerlessSettings if serverless else Settings)
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    except SettingsError as error:
        fail(error)


def read(config: Path) -> "tuple[Settings, plugins.Loaded]":
    """The settings with their plugins loaded; faults end the program with exit code 2."""
    from monitor.assembly import load  # noqa: PLC0415
    from monitor.settings_file import read_settings  # noqa: PLC0415

    try:
        settings = read_settings(config, os.environ)
        return settings, load(settings, config)
    except SettingsError as error:
        fail(error)


def fail(error: SettingsError) -> NoReturn:
    for fault in error.faults:
        typer.echo(f"kms-monitor: {fault}", err=True)
    raise typer.Exit(2)


def main() -> None:
    app()
