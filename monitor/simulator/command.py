"""`kms-monitor simulate`: the simulator as a command, for the aws command and any AWS client."""

import asyncio
import errno
import json
import signal
from typing import Annotated, NoReturn

import typer

_EXAMPLE = """\
The simulator is ready at {endpoint_url}. Ctrl-C ends it.

Point any AWS client at it; the access key id is the name of the user who calls:

    export AWS_ENDPOINT_URL={endpoint_url}
    export AWS_DEFAULT_REGION={region} AWS_ACCESS_KEY_ID=admin AWS_SECRET_ACCESS_KEY=any

Then, for example:

    KEY=$(aws kms create-key --query KeyMetadata.KeyId --output text)
    AWS_ACCESS_KEY_ID=mallory aws kms disable-key --key-id $KEY
    aws --endpoint-url {endpoint_url} sqs receive-message --wait-time-seconds 5 \\
        --queue-url {queue_url}

(Version 1 of the aws command needs --endpoint-url for sqs: there it ignores the variable.)

Queue {queue_url}
DLQ   {dlq_url}
Topic {topic_arn}
Rule  {rule_name}, trail {trail_name}, in accounts {accounts}, Regions {regions}
"""


def simulate(  # noqa: PLR0917 - typer names every option by its parameter
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 for any free one.")
    ] = 4566,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON when ready, nothing else.")
    ] = False,
    deny: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHO:SERVICE:ACTION",
            help="Refuse such calls, as mallory:kms:DisableKey or role/ops:cloudtrail:*. Repeatable.",
        ),
    ] = None,
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID",
            help="An account; the first one has the queue. Repeatable. "
            "Without it: 111122223333 and 444455556666.",
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A Region; the first one has the queue. Repeatable. "
            "Without it: eu-west-1 and us-east-1.",
        ),
    ] = None,
    delay: Annotated[
        str, typer.Option(metavar="SECONDS", help="How late events are: 2, or from-to: 0.5-3.")
    ] = "0",
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that an event arrives twice.")
    ] = 0.0,
    disorder: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Shuffle events within such a window.")
    ] = 0.0,
    consistency: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long KMS may show old states.")
    ] = 0.0,
    throttle: Annotated[
        float | None,
        typer.Option(metavar="SCALE", help="Enforce KMS's request quotas, times this factor."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the dice, to repeat a run.")] = None,
    recorder: Annotated[
        bool,
        typer.Option(
            "--recorder",
            help="Have AWS Config record the keys of the first account and Region, and tell it by "
            "the topic kms-monitor-config; the queue kms-monitor-config-reader has what it told.",
        ),
    ] = False,
    function: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:HANDLER",
            help="A Python handler that the rule calls as a Lambda function, such as "
            "monitor.serverless:handle. It has the variables of this command.",
        ),
    ] = None,
) -> None:
    """Run a local AWS around KMS: keys, CloudTrail, EventBridge, SQS and SNS on one port.

    Ends on Ctrl-C or SIGTERM with exit code 0. Exit code 2: the port is taken, an option is wrong
    or the `simulator` extra is not installed.
    """
    try:
        # Here and not above: it loads moto, for which `kms-monitor --help` should not wait, and
        # which a plain installation does not have.
        from monitor.simulator.deny import DenyRule  # noqa: PLC0415
        from monitor.simulator.handlers import find  # noqa: PLC0415
        from monitor.simulator.knobs import Knobs  # noqa: PLC0415
        from monitor.simulator.server import ACCOUNTS, REGIONS, Simulator  # noqa: PLC0415
    except ModuleNotFoundError as error:
        _fail(f"{error.name} is missing: pip install 'kms-monitor[simulator]'")
    try:
        for rule in deny or ():
            DenyRule.parse(rule)
        knobs = Knobs(
            deny=tuple(deny or ()),
            delay=_range(delay),
            duplicates=duplicates,
            disorder=disorder,
            consistency_seconds=consistency,
            quota_scale=throttle,
        )
        for number in account or ():
            _check_account(number)
        handler = find(function) if function else None
    except ValueError as error:
        _fail(str(error))
    simulator = Simulator(
        port=port, accounts=account or ACCOUNTS, regions=region or REGIONS, knobs=knobs, seed=seed
    )

    async def run() -> None:
        end = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, end.set)
        async with simulator:
            if handler is not None:
                simulator.deploy(handler)
            if recorder:
                await simulator.record()
            there_is = simulator.description()
            if as_json:
                typer.echo(json.dumps(there_is))
            else:
                lists = {name: ", ".join(there_is[name]) for name in ("accounts", "regions")}
                text = _EXAMPLE.format(**there_is | lists, region=simulator.regions[0])
                typer.echo(text)
            await end.wait()

    try:
        asyncio.run(run())
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            _fail(f"port {port} is taken: end what listens there, or choose another with --port")
        _fail(f"port {port} cannot be opened: {error.strerror or error}")


def _range(text: str) -> tuple[float, float]:
    first, _, last = text.partition("-")
    try:
        low, high = float(first), float(last or first)
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high:
        raise ValueError(f"--delay {text!r} is neither seconds (2) nor a range of them (0.5-3)")
    return low, high


def _check_account(number: str) -> None:
    if len(number) != 12 or not number.isdecimal():
        raise ValueError(f"--account {number!r} is not an account id of 12 digits")


def _fail(message: str) -> NoReturn:
    typer.echo(f"kms-monitor simulate: {message}", err=True)
    raise typer.Exit(2)
