"""The README is true: every command and every example in it is run, in its order.

`aws` means the simulator here; nothing else is different from what a reader types. The blocks run
in one shell, in a copy of the tree. Blocks marked `background` keep running.
"""

import os
import re
from pathlib import Path

import msgspec
import pytest

from monitor.event import Event
from monitor.finding import Kind
from monitor.simulator.server import Simulator
from tests.real.services import require
from tests.real.shell import ROOT, blocks, copy_tree, run, script
from tests.real.test_serverless import check_scenes

BLOCKS = blocks((ROOT / "README.md").read_text())
RUN_ELSEWHERE = "make test\n"
"""It is what runs this test; `.ci/run` is checked to run exactly that."""


@pytest.mark.real
@pytest.mark.timeout(240)
async def test_every_command_works(tmp_path: Path) -> None:
    for tool in ("aws", "curl", "git", "make"):
        require(tool)
    copy_tree(tmp_path)
    here = [one for one in BLOCKS if one[2] != RUN_ELSEWHERE]
    async with Simulator() as simulator:
        # How pip reaches its index is the machine's business.
        pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        code, output = await run(script(here), tmp_path, simulator, **pip)
    assert code == 0, output[-4000:]
    assert '"status": "ok"' in output
    assert "kms_monitor_source_up{" in output
    rehearsed, _, scenes = output.rpartition("enabled again")
    assert "PendingDeletion" in rehearsed.splitlines()[-2]
    check_scenes("enabled again" + scenes)


def test_ci_runs_the_test_command() -> None:
    run = (ROOT / ".ci" / "run").read_text()
    assert re.search(rf"^[^#]*\b{RUN_ELSEWHERE.strip()}\b", run, re.MULTILINE)


def test_the_detector_is_one() -> None:
    text = next(content for language, _, content in BLOCKS if language == "python")
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
