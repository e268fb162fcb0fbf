"""The rights that docs/dlq.md promises are those of the calls that the commands make."""

import json
import re
from pathlib import Path

import monitor

ROOT = Path(monitor.__file__).parent.parent


def test_operators_get_the_rights_that_the_commands_need_and_no_others() -> None:
    policy = json.loads((ROOT / "deploy/aws/dlq-policy.json").read_text("utf-8"))
    granted = set[str]()
    for statement in policy["Statement"]:
        actions = statement["Action"]
        granted |= {actions} if isinstance(actions, str) else set(actions)
    text = "".join(path.read_text("utf-8") for path in (ROOT / "monitor/dlq").glob("*.py"))
    called = {f"sqs:{name}" for name in re.findall(r'calling\("sqs", "(\w+)"\)', text)}
    # IAM knows no batches: the calls of `monitor.sources.batches` and ours need the single rights.
    called |= {"sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:SendMessage"}
    assert granted == called - {"sqs:SendMessageBatch"}
