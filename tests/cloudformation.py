"""`aws cloudformation` for the walk-throughs of docs/install-aws.md and docs/serverless-install.md:
`python -m tests.cloudformation deploy ...`, and `invoke ...` for `aws lambda invoke`.

Takes of the command's options those that the guides use, refuses others, and deploys the template on the simulator that
AWS_ENDPOINT_URL leads to (tests/stacks.py). Outputs are kept in $STACKS, a folder. Functions are asked for by
files there: whoever has the simulator makes and calls them.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import uuid
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import yaml
from aiobotocore.session import get_session

from monitor.simulator.server import Simulator
from tests.stacks import Stack

ACCOUNT = "111122223333"
SERVICES = ("kms", "sqs", "sns", "dynamodb", "iam", "events")
HOME_REGION = "eu-west-1"
AWS_WITH_STACKS = """\
aws() { if [ "$1" = cloudformation ] || [ "$1" = lambda ]; then shift; python -m tests.cloudformation "$@"; \
else command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; fi; }"""
"""For a reader's shell (tests/real/shell.py): the aws command with these commands in it."""


def words() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    deploy = commands.add_parser("deploy")
    deploy.add_argument("--stack-name", required=True)
    deploy.add_argument("--template-file", required=True, type=Path)
    deploy.add_argument("--capabilities", required=True, choices=["CAPABILITY_NAMED_IAM"])
    deploy.add_argument("--parameter-overrides", nargs="+", default=[])
    deploy.add_argument("--region", default=HOME_REGION)
    describe = commands.add_parser("describe-stacks")
    describe.add_argument("--stack-name", required=True)
    describe.add_argument("--output", required=True, choices=["text"])
    describe.add_argument("--query", required=True)
    invoke = commands.add_parser("invoke")
    invoke.add_argument("--function-name", required=True)
    invoke.add_argument("--cli-binary-format", required=True, choices=["raw-in-base64-out"])
    invoke.add_argument("--payload", required=True, type=json.loads)
    invoke.add_argument("answer", type=Path)
    return parser.parse_args()


def ask(**what: Any) -> Any:
    """The answer of whoever has the simulator."""
    number = uuid.uuid4()
    request, answer = (Path(os.environ["STACKS"]) / f"{one}-{number}" for one in ("ask", "answer"))
    unfinished = request.with_suffix(".new")
    unfinished.write_text(json.dumps(what))
    unfinished.rename(request)
    end = time.monotonic() + 60
    while not answer.exists():
        assert time.monotonic() < end, "nobody answers"
        time.sleep(0.05)
    return json.loads(answer.read_text())


def make_function(properties: dict[str, Any], callers: set[tuple[str, str]]) -> None:
    ask(deploy=properties, callers=sorted(callers))


async def deploy(asked: argparse.Namespace) -> dict[str, str]:
    given = dict(one.split("=", 1) for one in asked.parameter_overrides)
    source = yaml.safe_load(asked.template_file.read_text("utf-8"))
    stack = Stack(source, ACCOUNT, asked.region, **given)
    async with AsyncExitStack() as opened:
        session: Any = get_session()
        clients = {
            one: await opened.enter_async_context(session.create_client(one, asked.region))
            for one in SERVICES
        }
        await stack.deploy(clients.__getitem__, make_function)
    return stack.outputs()


async def make_room(simulator: Simulator) -> None:
    """The simulator has queues and a rule of the same name as the guide's stack."""
    door: dict[str, Any] = {
        "endpoint_url": simulator.endpoint_url,
        "aws_access_key_id": "admin",
        "aws_secret_access_key": "any",
    }
    session: Any = get_session()
    async with session.create_client("sqs", "eu-west-1", **door) as sqs:
        for name in ("kms-monitor", "kms-monitor-dlq"):
            url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
            await sqs.delete_queue(QueueUrl=url)
    for region in ("eu-west-1", "us-east-1"):
        async with session.create_client("events", region, **door) as events:
            await events.remove_targets(Rule="kms-monitor", Ids=["kms-monitor"])
            await events.delete_rule(Name="kms-monitor")


def main() -> None:
    asked = words()
    if asked.command == "invoke":
        asked.answer.write_text(json.dumps(ask(invoke=asked.function_name, event=asked.payload)))
        return
    kept = Path(os.environ["STACKS"]) / f"{asked.stack_name}.json"
    if asked.command == "deploy":
        kept.write_text(json.dumps(asyncio.run(deploy(asked))))
        return
    name = asked.query.partition("OutputKey==`")[2].partition("`")[0]
    assert asked.query == f"Stacks[0].Outputs[?OutputKey==`{name}`].OutputValue"
    sys.stdout.write(json.loads(kept.read_text())[name] + "\n")


if __name__ == "__main__":
    main()
