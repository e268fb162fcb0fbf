"""docs/install-aws.md is true: what it says for one account, for one Region more, and of a choice of one's own,
is done as a reader does it.

`aws cloudformation` is tests/cloudformation.py, for the simulator has no CloudFormation; all other commands are
the real ones.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.simulator.server import Simulator
from tests.cloudformation import AWS_WITH_STACKS, make_room
from tests.real.services import require
from tests.real.shell import run

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "aws"
GUIDE = (ROOT / "docs" / "install-aws.md").read_text("utf-8")
BLOCK = re.compile(r"^```sh( background)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(title: str) -> list[tuple[str, str]]:
    section = GUIDE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return BLOCK.findall(section)


def script() -> str:
    lines = [
        "set -eu",
        AWS_WITH_STACKS,
        "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT",
    ]
    first, more = blocks("One account"), blocks("More Regions")
    own = blocks("Your own choice of detectors and responders")
    assert (len(first), len(more), len(own)) == (3, 1, 1)
    for background, text in [*more, *first]:
        lines += [f"{text.strip()} > background.log 2>&1 &"] if background else [text]
    lines += [text for _, text in own]
    # What a reader would do next: wait until it watches, and attack.
    lines += [
        "ready() { curl --silent --fail http://127.0.0.1:8080/readyz; }",
        "for _ in $(seq 40); do ready >/dev/null && break; sleep 0.5; done; ready",
        "export AWS_ACCESS_KEY_ID=mallory",
        "KEY=$(aws kms create-key --query KeyMetadata.KeyId --output text)",
        'aws kms schedule-key-deletion --key-id "$KEY" >/dev/null',
        'state() { aws kms describe-key --key-id "$KEY" --query KeyMetadata.KeyState --output text; }',
        'for _ in $(seq 20); do [ "$(state)" = Enabled ] && break; sleep 0.5; done; echo; state',
    ]
    # As the guide's last sentence on it says; where nothing is written, nothing can be seen to come back.
    return "\n".join(lines).replace("Mode=observe", "Mode=enforce")


@pytest.mark.real
@pytest.mark.timeout(240)
async def test_what_the_guide_says_is_done(tmp_path: Path) -> None:
    for tool in ("aws", "curl"):
        require(tool)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")  # a module is made anew there
    async with Simulator() as simulator:
        await make_room(simulator)
        ours = {"PYTHONPATH": str(ROOT), "STACKS": str(tmp_path)}
        code, output = await run(script(), tmp_path, simulator, **ours)
    log = (tmp_path / "background.log").read_text() if code else ""
    assert code == 0, output[-3000:] + log[-3000:]
    assert output.splitlines()[-1] == "Enabled"
    for name in ("home", "member"):
        assert loaded(tmp_path / f"{name}.yaml").keys() == loaded(DEPLOY / f"{name}.yaml").keys()
    made = tmp_path / "deploy" / "terraform" / "home"
    assert {one.name for one in made.iterdir()} == {
        one.name for one in (ROOT / made.relative_to(tmp_path)).iterdir()
    }


def loaded(template: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(template.read_text("utf-8"))
    return found


def test_the_stack_set_commands_name_files_that_are_there() -> None:
    named = re.findall(r"(?:file://|--template-file )(deploy/\S+)", GUIDE)
    assert len(named) >= 4
    assert all((ROOT / one).is_file() for one in named)
