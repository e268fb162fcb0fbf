"""The scene of the README's section "Without a cluster", played as it stands there.

`tests/real/test_readme.py` runs it as well, after everything else; this is the quick one.
"""

import sys
from pathlib import Path

import pytest

from monitor.simulator.server import Simulator
from tests.real.services import require
from tests.real.shell import ROOT, blocks, run, script


@pytest.mark.real
@pytest.mark.timeout(150)
async def test_the_scene_without_a_cluster(tmp_path: Path) -> None:
    require("aws")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    text = (ROOT / "README.md").read_text()
    section = text[text.index("## Without a cluster") : text.index("## More")]
    async with Simulator() as elsewhere:
        code, output = await run(script(blocks(section)), tmp_path, elsewhere)
    assert code == 0, output[-4000:]
    check_scenes(output)


def check_scenes(output: str) -> None:
    """Both scenes went as they should, in this order, and nothing came after them."""
    told = output.index("enabled again")
    enabled = output.index("Enabled", told)
    # AWS Config's verdict, before and after the repair.
    bad = output.index("NON_COMPLIANT", enabled)
    restored = output.rindex('"found": "PendingDeletion", "state": "Enabled", "right": true')
    assert restored > bad
    assert output[restored:].splitlines()[1:] == ["COMPLIANT"]
