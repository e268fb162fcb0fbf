"""The templates as cfn-lint sees them."""

import subprocess
from pathlib import Path

import pytest

from tests.real.services import require

ROOT = Path(__file__).parents[2]
TEMPLATES = ["home.yaml", "member.yaml", "remediation.yaml", "serverless.yaml", "table.yaml"]
REGIONS = ["eu-west-1", "us-east-1", "us-gov-west-1"]


def lint(*files: Path) -> str:
    command = [require("cfn-lint"), "--regions", *REGIONS, "-t", *map(str, files)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode in {0, 2, 4, 6}, result.stderr
    return result.stdout


@pytest.mark.real
@pytest.mark.timeout(150)
def test_cfn_lint_finds_nothing() -> None:
    assert lint(*(ROOT / "deploy/aws" / name for name in TEMPLATES)) == ""


@pytest.mark.real
@pytest.mark.timeout(150)
def test_cfn_lint_would_find_a_wrong_property(tmp_path: Path) -> None:
    text = (ROOT / "deploy/aws/table.yaml").read_text("utf-8")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(text.replace("BillingMode: PAY_PER_REQUEST", "BillingMode: NOTHING"))
    assert "'NOTHING' is not one of" in lint(wrong)
