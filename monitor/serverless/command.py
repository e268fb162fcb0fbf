"""`kms-monitor invoke`: the function, called once, on this machine."""

import asyncio
import json
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

EXAMPLE = "Example: kms-monitor invoke --event event.json --config function.yaml"


class ByHand:
    """Lambda's context, for a call that nobody ends."""

    def __init__(self, seconds: float) -> None:
        self.aws_request_id = str(uuid.uuid4())
        self.invoked_function_arn = ""
        self.ends_at = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self.ends_at - time.monotonic()) * 1000))


def invoke(
    event: Annotated[
        Path,
        typer.Option(
            "--event", "-e", help="The event as JSON, as Lambda hands it over; - reads the input."
        ),
    ],
    *,
    config: Annotated[
        str,
        typer.Option(
            "--config",
            "-c",
            envvar="KMS_MONITOR_CONFIG",
            help="Where the settings are: a file, ssm:/NAME or appconfig:APP/ENV/PROFILE.",
        ),
    ] = "kms-monitor.yaml",
    endpoint_url: Annotated[
        str | None,
        typer.Option(envvar="AWS_ENDPOINT_URL", help="Another AWS, such as the simulator."),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1, max=900, help="The time that the function has.")
    ] = 60,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Remember nothing: no DynamoDB table is needed.")
    ] = False,
    metrics: Annotated[
        bool, typer.Option("--metrics", help="Print the metrics, too, to the standard error.")
    ] = False,
) -> None:
    """Call the Lambda function once, here, and print its answer.

    Exit code 0: all is done. 1: it failed, or gave a part back: Lambda would make the call again.
    2: the settings, the event or the command line are wrong.
    """
    # Here and not above, so that --help and the other commands start fast.
    from monitor import logs  # noqa: PLC0415
    from monitor.errors import MonitorError, SettingsError, Unreadable  # noqa: PLC0415
    from monitor.ledger import StoreError  # noqa: PLC0415
    from monitor.serverless.container import Container  # noqa: PLC0415
    from monitor.serverless.given import INLINE, PLACE  # noqa: PLC0415

    given = read(event)
    if endpoint_url:
        os.environ["AWS_ENDPOINT_URL"] = endpoint_url
    logs.set_up()
    environment = dict(os.environ)
    if not environment.get(INLINE):
        environment[PLACE] = config
    if in_memory:
        environment |= {
            "KMS_MONITOR_STORE": "{kind: memory}",
            "KMS_MONITOR_FUNCTION__MAY_FORGET": "true",
        }
    container = Container(environment, write=to_stderr if metrics else len)

    async def call() -> Any:
        try:
            return await container.invoke(given, ByHand(seconds))
        finally:
            await container.close()

    try:
        answer = asyncio.run(call())
    except (SettingsError, Unreadable) as error:
        fail(str(error), 2)
    except (MonitorError, StoreError) as error:
        fail(str(error), 1)
    typer.echo(json.dumps(answer))
    raise typer.Exit(1 if answer.get("batchItemFailures") else 0)


def to_stderr(text: str) -> None:
    typer.echo(text, err=True, nl=False)


def read(file: Path) -> Any:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror}", 2)
    except (ValueError, RecursionError):
        fail(f"{file}: is not JSON", 2)


def fail(problem: str, code: int) -> NoReturn:
    for line in problem.split("\n"):
        typer.echo(f"kms-monitor: {line}", err=True)
    raise typer.Exit(code)
