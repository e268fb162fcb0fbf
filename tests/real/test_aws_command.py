"""The plain `aws` command against a started simulator, as users will call it.

Each call takes the aws command about a second: hence few calls, each of which counts.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from monitor.simulator.server import Simulator

_BESIDE_PYTHON = Path(sys.executable).parent / "aws"
AWS = str(_BESIDE_PYTHON) if _BESIDE_PYTHON.exists() else shutil.which("aws")

pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(120),
    pytest.mark.skipif(AWS is None, reason="the aws command is not installed (pip install awscli)"),
]


class Shell:
    """Runs the aws command as a user with the simulator's environment variables does."""

    def __init__(self, sim: Simulator, tmp_path: Path) -> None:
        self.sim = sim
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": sim.endpoint_url,
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_PAGER": "",
        }

    async def run(self, *words: str, who: str = "admin", token: str = "") -> tuple[int, str, str]:
        """Run one command; give exit code, standard output and standard error."""
        assert AWS is not None
        environment = self._environment | {"AWS_ACCESS_KEY_ID": who}
        if token:
            environment["AWS_SESSION_TOKEN"] = token
        process = await asyncio.create_subprocess_exec(
            AWS,
            *words,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    async def __call__(self, *words: str, **who: str) -> Any:
        """Run a command that must succeed and give what it prints."""
        code, out, err = await self.run(*words, **who)
        assert code == 0, err
        return json.loads(out) if out.strip() else None

    def messages(self) -> list[str]:
        """Name the recorded calls so far."""
        return [record["eventName"] for record in self.sim.records]


@pytest.fixture
async def aws(tmp_path: Path) -> AsyncIterator[Shell]:
    async with Simulator() as sim:
        yield Shell(sim, tmp_path)


async def test_the_life_of_a_key(aws: Shell) -> None:
    key = (await aws("kms", "create-key", "--multi-region"))["KeyMetadata"]
    on = ("--key-id", key["KeyId"])
    await aws("kms", "disable-key", *on, who="mallory")
    assert aws.sim.kms.state_of(key["Arn"]) == "Disabled"
    await aws("kms", "enable-key", *on)
    answer = await aws("kms", "schedule-key-deletion", *on, "--pending-window-in-days", "7")
    assert (answer["KeyId"], answer["KeyState"]) == (key["Arn"], "PendingDeletion")

    code, _, error = await aws.run("kms", "enable-key", *on)
    assert code in {254, 255}
    assert error.strip() == (
        "An error occurred (KMSInvalidStateException) when calling the EnableKey operation: "
        f"{key['Arn']} is pending deletion."
    )
    assert (await aws("kms", "cancel-key-deletion", *on))["KeyId"] == key["Arn"]
    shown = await aws("kms", "describe-key", *on)
    assert shown["KeyMetadata"]["KeyState"] == "Disabled"
    await aws("kms", "enable-key", *on)

    policy = json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                    "Action": "kms:*",
                    "Resource": "*",
                }
            ],
        }
    )
    await aws("kms", "put-key-policy", *on, "--policy-name", "default", "--policy", policy)
    await aws("kms", "create-alias", "--alias-name", "alias/pay", "--target-key-id", key["KeyId"])
    grantee = "arn:aws:iam::111122223333:user/bob"
    grant = await aws(
        "kms", "create-grant", *on, "--grantee-principal", grantee, "--operations", "Decrypt"
    )
    assert grant["GrantId"]
    await aws("kms", "tag-resource", *on, "--tags", "TagKey=tier,TagValue=0")
    await aws("kms", "enable-key-rotation", *on)
    replica = await aws("kms", "replicate-key", *on, "--replica-region", "us-east-1")
    assert replica["ReplicaKeyMetadata"]["Arn"].startswith("arn:aws:kms:us-east-1:")
    usage = await aws("kms", "get-key-last-usage", *on)
    assert "KeyCreationDate" in usage

    received = await aws(
        "sqs",
        "receive-message",
        # Version 1 of the aws command does not look at AWS_ENDPOINT_URL for SQS.
        *("--endpoint-url", aws.sim.endpoint_url),
        *("--queue-url", aws.sim.queue_url, "--max-number-of-messages", "10"),
        *("--wait-time-seconds", "5"),
    )
    details = [json.loads(message["Body"])["detail"] for message in received["Messages"]]
    first = details[0]
    assert (first["eventName"], first["userIdentity"]["userName"]) == ("DisableKey", "mallory")
    assert first["userAgent"].startswith("aws-cli/")
    assert [detail["eventName"] for detail in details if "errorCode" in detail] == ["EnableKey"]


async def test_imported_material(aws: Shell) -> None:
    key = (await aws("kms", "create-key", "--origin", "EXTERNAL"))["KeyMetadata"]
    assert key["KeyState"] == "PendingImport"
    on = ("--key-id", key["KeyId"])
    parameters = await aws(
        "kms",
        "get-parameters-for-import",
        *on,
        *("--wrapping-algorithm", "RSAES_OAEP_SHA_256", "--wrapping-key-spec", "RSA_2048"),
    )
    assert parameters["PublicKey"]
    await aws("kms", "delete-imported-key-material", *on)
    assert aws.messages() == ["CreateKey", "GetParametersForImport", "DeleteImportedKeyMaterial"]


async def test_other_services(aws: Shell) -> None:
    answer = await aws(
        "sts",
        "assume-role",
        *("--role-arn", "arn:aws:iam::444455556666:role/ops", "--role-session-name", "me"),
    )
    credentials = answer["Credentials"]
    whoami = await aws(
        "sts",
        "get-caller-identity",
        who=credentials["AccessKeyId"],
        token=credentials["SessionToken"],
    )
    assert whoami["Account"] == "444455556666"
    assert whoami["Arn"] == "arn:aws:sts::444455556666:assumed-role/ops/me"
    await aws("cloudtrail", "stop-logging", "--name", "kms-monitor")
    await aws("events", "disable-rule", "--name", "kms-monitor")
    found = await aws(
        "cloudtrail",
        "lookup-events",
        *("--lookup-attributes", "AttributeKey=EventName,AttributeValue=StopLogging"),
    )
    assert [event["Username"] for event in found["Events"]] == ["admin"]
    assert aws.messages()[-3:] == ["StopLogging", "DisableRule", "LookupEvents"]
