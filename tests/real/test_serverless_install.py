"""docs/serverless-install.md is true: what it says for one account is done as a reader does it.

The function is the zip, from the bucket that the guide puts it into, run by the Python that it was made for with nothing
but what the template gives it. `aws cloudformation` and `aws lambda` are tests/cloudformation.py, for the
simulator has neither; all other commands are the real ones.
"""

import asyncio
import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from deploy.serverless.local import Container
from monitor.simulator.functions import Function
from monitor.simulator.server import Simulator
from tests.cloudformation import AWS_WITH_STACKS, make_room
from tests.journey.conftest import ACCOUNT, REGION
from tests.real.lambda_zip import HERE, python_of_it
from tests.real.services import require
from tests.real.shell import run

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "serverless-install.md").read_text("utf-8")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Cloud:
    """Makes and calls functions when tests/cloudformation.py asks for it."""

    def __init__(self, simulator: Simulator, folder: Path) -> None:
        self.simulator = simulator
        self.folder = folder
        self.made: dict[str, Function] = {}
        self.containers: list[Container] = []
        self.door: dict[str, Any] = {
            "endpoint_url": simulator.endpoint_url,
            "aws_access_key_id": "admin",
            "aws_secret_access_key": "any",
        }

    async def answer(self) -> None:
        """What is asked for, for ever."""
        while True:
            for request in self.folder.glob("ask-*"):
                if request.suffix:
                    continue
                said = await self.do(json.loads(request.read_text()))
                request.unlink()
                answer = self.folder / request.name.replace("ask", "answer")
                unfinished = answer.with_suffix(".new")
                unfinished.write_text(json.dumps(said))
                unfinished.rename(answer)
            await asyncio.sleep(0.05)

    async def do(self, asked: dict[str, Any]) -> Any:
        if "invoke" in asked:
            return await self.made[asked["invoke"]].invoke(asked["event"])
        given = asked["deploy"]
        tree = await self.code(given["Code"])
        _, python = python_of_it()
        environment = {
            "AWS_ENDPOINT_URL": self.simulator.endpoint_url,
            "AWS_ACCESS_KEY_ID": "kms-monitor",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": REGION,
            **given["Environment"]["Variables"],
        }
        container = await asyncio.to_thread(Container, tree, python, given["Handler"], environment)
        self.containers.append(container)
        function = self.simulator.functions.add(
            given["FunctionName"],
            container.handle,
            account=ACCOUNT,
            region=REGION,
            seconds=given["Timeout"],
            dead_letters=given["DeadLetterConfig"]["TargetArn"],
        )
        function.permitted |= {(who, source) for who, source in asked["callers"]}
        self.made[given["FunctionName"]] = function
        return None

    async def code(self, where: dict[str, str]) -> Path:
        session: Any = get_session()
        async with session.create_client("s3", REGION, **self.door) as s3:
            found = await s3.get_object(Bucket=where["S3Bucket"], Key=where["S3Key"])
            content = await found["Body"].read()
        tree = self.folder / "task"
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            await asyncio.to_thread(archive.extractall, tree)
        return tree


@asynccontextmanager
async def cloud(simulator: Simulator, folder: Path) -> AsyncIterator[Cloud]:
    made = Cloud(simulator, folder)
    answering = asyncio.create_task(made.answer(), name="the cloud")
    try:
        yield made
        await simulator.settle()
        await simulator.functions.settle()
    finally:
        answering.cancel()
        with suppress(asyncio.CancelledError):
            await answering
        for one in made.containers:
            await asyncio.to_thread(one.close)


def script(archive: Path) -> str:
    section = GUIDE.partition("## One account\n")[2].partition("\n## ")[0]
    blocks = BLOCK.findall(section)
    assert len(blocks) == 3
    version, _ = python_of_it()
    guide = "\n".join(blocks).replace("arm64", HERE).replace("python3.13", f"python{version}")
    lines = [
        "set -eu",
        AWS_WITH_STACKS,
        # It was made already; this takes half a minute.
        f'make() {{ test "$*" = lambda-zip; mkdir -p dist; cp "{archive}" dist/; }}',
        # As the guide's last sentence on it says; where nothing is written, nothing can be seen to come back.
        guide.replace("Mode=observe", "Mode=enforce"),
        "cat answer.json",
        "export AWS_ACCESS_KEY_ID=mallory",
        "KEY=$(aws kms create-key --query KeyMetadata.KeyId --output text)",
        'aws kms schedule-key-deletion --key-id "$KEY" >/dev/null',
        'state() { aws kms describe-key --key-id "$KEY" --query KeyMetadata.KeyState --output text; }',
        'for _ in $(seq 40); do [ "$(state)" = Enabled ] && break; sleep 0.5; done; echo; state',
    ]
    return "\n".join(lines)


@pytest.mark.real
@pytest.mark.timeout(300)
async def test_what_the_guide_says_is_done(lambda_zip: Path, tmp_path: Path) -> None:
    require("aws")
    for folder in ("deploy", "docs"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    async with Simulator() as simulator:
        await make_room(simulator)
        async with cloud(simulator, tmp_path) as made:
            ours = {"PYTHONPATH": str(ROOT), "STACKS": str(tmp_path)}
            code, output = await run(script(lambda_zip), tmp_path, simulator, **ours)
            assert code == 0, output[-3000:]
        assert output.splitlines()[-1] == "Enabled"
        assert {one.error for one in made.made["kms-monitor"].calls} == {""}


def test_each_parameter_that_it_names_is_there() -> None:
    section = GUIDE.partition("## Parameters\n")[2].partition("\n## ")[0]
    named = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    text = (ROOT / "deploy" / "aws" / "serverless.yaml").read_text("utf-8")
    assert len(named) > 8
    assert all(f"\n  {name}:" in text for name in named)


def test_each_alarm_is_told_of() -> None:
    text = (ROOT / "deploy" / "aws" / "serverless.yaml").read_text("utf-8")
    alarms = set(re.findall(r"AlarmName: \{'Fn::Sub': '\$\{Name\}-([a-z-]+)'\}", text))
    told = set(
        re.findall(r"^\| `kms-monitor-([a-z-]+)` \| ", GUIDE.partition("watcher")[2], re.MULTILINE)
    )
    assert len(alarms) == 6
    assert alarms == told
