"""The README is true: every command and every example in it is run, in its order.

`aws` means the simulator here; nothing else is different from what a reader types. The blocks run
in one shell, in a copy of the tree. Blocks marked `background` keep running.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from monitor.event import Event
from monitor.finding import Kind
from monitor.simulator.server import Simulator
from tests.real.services import require
from tests.real.shell import run

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)( background)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = (ROOT / "README.md").read_text()
RUN_ELSEWHERE = "make test\n"
"""It is what runs this test; `.ci/run` is checked to run exactly that."""


def blocks(text: str) -> list[tuple[str, ...]]:
    """Language, `background` or nothing, and content of each."""
    return [match.groups() for match in BLOCK.finditer(text)]


def script(text: str = TEXT) -> str:
    """All the blocks of a text as one shell script."""
    lines = [
        "set -eu",
        # The aws command, version 1, ignores AWS_ENDPOINT_URL for SQS.
        'aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }',
        "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT",
    ]
    for language, background, content in blocks(text):
        if language == "yaml":
            name = content.removeprefix("# ").partition(".yaml")[0] + ".yaml"
            lines.append(f"cat > {name} <<'END_OF_FILE'\n{content}END_OF_FILE")
        elif language == "sh" and background:
            lines += [f"{content.strip()} > background.log 2>&1 &", "sleep 4"]
        elif language == "sh" and content != RUN_ELSEWHERE:
            lines.append(content)
    return "\n".join(lines)


def copy_tree(target: Path) -> None:
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    # make must find its work done: it would install the copy into the environment of the tests.
    (target / ".venv").symlink_to(Path(sys.prefix))
    for name in ("pyproject.toml", "requirements/dev.txt"):
        os.utime(target / name, (0, 0))


@pytest.mark.real
@pytest.mark.timeout(240)
async def test_every_command_works(tmp_path: Path) -> None:
    for tool in ("aws", "curl", "git", "make"):
        require(tool)
    copy_tree(tmp_path)
    async with Simulator() as simulator:
        # How pip reaches its index is the machine's business.
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        code, output = await run(script(), tmp_path, simulator, **pip)
    assert code == 0, output[-4000:]
    assert '"status": "ok"' in output
    assert "kms_monitor_source_up{" in output
    *_, rehearsed, told, enabled = output.splitlines()
    assert "PendingDeletion" in rehearsed
    assert "Enabled" in enabled
    assert "enabled again" in told


def test_ci_runs_the_test_command() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    assert re.search(rf"^[^#]*\b{RUN_ELSEWHERE.strip()}\b", run, re.MULTILINE)


def test_the_detector_is_one() -> None:
    text = next(content for language, _, content in blocks(TEXT) if language == "python")
    names: dict[str, type] = {}
    exec(text, names)
    event = msgspec.convert(
        {
            "eventName": "DeleteAlias",
            "eventSource": "kms.amazonaws.com",
            "eventTime": "2026-11-20T09:14:03Z",
            "eventID": "1",
        },
        Event,
    )
    detector = names["AliasDeleted"](None)
    assert (event.event_source, event.event_name) in detector.events
    (found,) = detector.inspect(event)
    assert found.kind is Kind.NOTICE
    body = text[text.index("    name:") :]
    assert len([line for line in body.splitlines() if line.strip()]) <= 15
