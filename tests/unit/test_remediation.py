"""The remediation that AWS Config starts: what it hands to the function is what the function understands."""

import re
from pathlib import Path
from typing import Any

import yaml

from monitor.serverless.restoring import RESTORE, key_of
from monitor.serverless.triggers import Command, recognise
from tests.samples import ACCOUNT, ARN, EPOCH, KEY, KEY_ID, REGION

FILE = Path(__file__).parents[2] / "deploy/aws/remediation.yaml"


class Loader(yaml.SafeLoader):
    """CloudFormation's short forms, each as an object with its name."""


Loader.add_multi_constructor(
    "!",
    lambda loader, suffix, node: {
        suffix: loader.construct_scalar(node)
        if isinstance(node, yaml.ScalarNode)
        else loader.construct_sequence(node, deep=True)
    },
)


def template() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(FILE.read_text("utf-8"), Loader)
    return found


def filled(value: Any, given: dict[str, str]) -> Any:
    """A step's input, as Systems Manager fills it in."""
    if isinstance(value, dict):
        return {name: filled(one, given) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, given) for one in value]
    return re.sub(r"\{\{ *([A-Za-z_:]+) *\}\}", lambda found: given[found[1]], str(value))


GIVEN = {
    "KeyId": KEY_ID,
    "FunctionName": "kms-monitor",
    "global:AWS_PARTITION": "aws",
    "global:REGION": REGION,
    "global:ACCOUNT_ID": ACCOUNT,
}


def test_the_function_is_asked_for_the_whole_key() -> None:
    content = template()["Resources"]["Document"]["Properties"]["Content"]
    restore, verify = content["mainSteps"]
    inputs = filled(restore["inputs"], GIVEN)
    assert restore["action"] == "aws:invokeLambdaFunction"
    assert inputs["InvocationType"] == "RequestResponse"  # else nobody would know that it failed
    work = recognise(inputs["InputPayload"], EPOCH)
    assert isinstance(work, Command)
    assert (work.name, key_of(work.event)) == (RESTORE, KEY)
    assert filled(verify["inputs"], GIVEN)["KeyId"] == KEY_ID


def test_config_hands_over_what_the_document_asks_for() -> None:
    resources = template()["Resources"]
    content = resources["Document"]["Properties"]["Content"]
    given = resources["Remediation"]["Properties"]["Parameters"]
    assert given.keys() == content["parameters"].keys()
    assert given["KeyId"] == {"ResourceValue": {"Value": "RESOURCE_ID"}}
    for name, one in content["parameters"].items():
        pattern = one.get("allowedPattern")
        assert pattern is None or re.fullmatch(pattern, GIVEN[name])


def test_its_role_may_ask_and_look_and_nothing_else() -> None:
    (policy,) = template()["Resources"]["Role"]["Properties"]["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    assert {one["Action"] for one in statements} == {"lambda:InvokeFunction", "kms:DescribeKey"}
    assert all("*" not in str(one["Resource"]["Sub"]).rpartition(":")[0] for one in statements)
    assert ARN.startswith("arn:aws:kms:")
