"""docs/quickstart.md is true: both of its parts are done as a reader does them, each in a shell of its own.

In the first `make demo` and `kms-monitor simulate` are the page's own; in the second the simulator stands for
the reader's AWS account, and `aws cloudformation` is tests/cloudformation.py.
"""

import re
from pathlib import Path

import pytest

from monitor.simulator.server import Simulator
from tests.cloudformation import AWS_WITH_STACKS, make_room
from tests.real.services import require
from tests.real.shell import ROOT, blocks, copy_tree, run, script

PAGE = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
FIRST, SECOND = (
    blocks(PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0])
    for title in ("A key comes back", "Let it watch a real account")
)


@pytest.mark.real
@pytest.mark.timeout(240)
async def test_a_key_comes_back(tmp_path: Path) -> None:
    for tool in ("aws", "curl", "git", "make"):
        require(tool)
    copy_tree(tmp_path)
    async with Simulator() as simulator:
        code, output = await run(script(FIRST), tmp_path, simulator)
    assert code == 0, output[-4000:]
    state, *rest = output.partition('"Enabled"')[1:]
    assert state
    assert re.search(r"closed \S+\s+us\s*\n", rest[0]), rest[0]
    assert "restore_key" in rest[0]
    assert "kms_monitor_event_to_safe_seconds_sum" in output.splitlines()[-1]


@pytest.mark.real
@pytest.mark.timeout(240)
async def test_it_watches_a_real_account(tmp_path: Path) -> None:
    for tool in ("aws", "curl"):
        require(tool)
    copy_tree(tmp_path)
    async with Simulator() as simulator:
        await make_room(simulator)
        ours = {"PYTHONPATH": str(ROOT), "STACKS": str(tmp_path)}
        code, output = await run(script(SECOND, aws=AWS_WITH_STACKS), tmp_path, simulator, **ours)
    log = (tmp_path / "background.log").read_text() if code else ""
    assert code == 0, output[-3000:] + log[-3000:]
    assert '"Disabled"' in output
    assert "KMS key disabled" in output.partition('"Disabled"')[2]
