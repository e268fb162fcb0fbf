"""docs/install-kubernetes.md is true: what it says is done as a reader does it, on tests/cluster.py.

Once with helm, from the image to the removal, and once without helm. The AWS side is the README's, by hand.
"""

import re
from pathlib import Path

import pytest

from monitor.simulator.server import Simulator
from tests.real.services import kustomize, require
from tests.real.shell import run

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "install-kubernetes.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
START = """\
set -eu
for PROGRAM in helm kubectl docker; do eval "$PROGRAM() { python -m tests.cluster $PROGRAM \\"\\$@\\"; }"; done
aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
trap 'python -m tests.cluster stop' EXIT
attack() {
  KEY=$(aws kms create-key --query KeyMetadata.KeyId --output text)
  AWS_ACCESS_KEY_ID=mallory aws kms schedule-key-deletion --key-id "$KEY" >/dev/null
}
state() { aws kms describe-key --key-id "$KEY" --query KeyMetadata.KeyState --output text; }
found() { curl --silent http://127.0.0.1:8080/metrics | grep 'findings_total{detector="key_deletion_scheduled"' \\
  | grep -v ' 0.0$'; }
"""
SEEN = (
    "attack; for _ in $(seq 40); do found && break; sleep 0.5; done; found; echo told, and $(state)"
)
GUARDED = 'attack; for _ in $(seq 40); do [ "$(state)" = Enabled ] && break; sleep 0.5; done; echo at last $(state)'


def part(page: str, title: str) -> str:
    """A chapter, up to the next one."""
    assert f"## {title}" in page
    return re.split(r"^## ", page.partition(f"## {title}")[2], maxsplit=1, flags=re.MULTILINE)[0]


def blocks(page: str, title: str, language: str = "sh") -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```$", part(page, title), re.MULTILINE | re.DOTALL)
    assert found, title
    return found


def aws_side() -> str:
    """Queue, rules and topic: steps 1 and 2 of the README."""
    return "".join(blocks(README, "Run it for real")[1:3])


async def walk(tmp_path: Path, *steps: str) -> str:
    for program in ("aws", "curl"):
        require(program)
    for name in ("deploy", "docs", "Dockerfile", "config"):
        (tmp_path / name).symlink_to(ROOT / name)
    cluster = tmp_path / "cluster"
    cluster.mkdir()
    async with Simulator() as simulator:
        ours = {"PYTHONPATH": str(ROOT), "CLUSTER": str(cluster)}
        code, output = await run("\n".join([START, *steps]), tmp_path, simulator, **ours)
    assert code == 0, output[-5000:]
    return output


async def test_with_helm(tmp_path: Path) -> None:
    require("helm")
    (values, *_), (install, check) = (
        blocks(GUIDE, "3. The chart", "yaml"),
        blocks(GUIDE, "3. The chart"),
    )
    (image,) = blocks(GUIDE, "1. The image")
    upgrade, rollback, uninstall = blocks(GUIDE, "Upgrade, roll back, remove")[0].splitlines()
    (tmp_path / "values.yaml").write_text(values, "utf-8")
    output = await walk(
        tmp_path,
        *(aws_side(), image, install, check, SEEN),
        # Step 4, and a new version on the way.
        "sed -i 's/mode: observe/mode: enforce/' values.yaml",
        *(image.replace("0.1.0", "0.2.0"), upgrade, GUARDED),
        *(rollback, SEEN),
        uninstall,
        "curl --silent http://127.0.0.1:8080/healthz || echo gone",
        "cat $CLUSTER/objects.json",
    )
    lines = output.splitlines()
    assert lines.count("told, and PendingDeletion") == 2
    assert lines.count("at last Enabled") == 1
    assert lines[-2] == "gone"
    assert "PersistentVolumeClaim" in lines[-1]
    assert "Deployment" not in lines[-1]


async def test_without_helm(tmp_path: Path) -> None:
    kustomize()
    (image,) = blocks(GUIDE, "1. The image")
    output = await walk(tmp_path, aws_side(), image, *blocks(GUIDE, "Without helm"), SEEN)
    assert output.splitlines()[-1] == "told, and PendingDeletion"
