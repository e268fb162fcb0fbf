"""Dead messages are explained and sent back: the command as people run it, against the simulator."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiobotocore.session import get_session

from monitor.simulator.server import Simulator
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until, wrap

GARBAGE = "oh no, {not json"
DLQ = "kms-monitor-dlq"
EVENTBRIDGE = {
    "ERROR_CODE": "NO_PERMISSIONS",
    "ERROR_MESSAGE": "not allowed",
    "RULE_ARN": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/kms-guard",
    "TARGET_ARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor",
}


class Site:
    """The simulator's queues, and the command."""

    def __init__(self, simulator: Simulator, sqs: Any, config: Path) -> None:
        self.simulator = simulator
        self.sqs = sqs
        self.config = config

    async def bury(self, *bodies: str) -> None:
        """Messages that nobody could handle, as far as SQS is concerned."""
        url = self.simulator.queue_url
        for body in bodies:
            await self.sqs.send_message(
                QueueUrl=url,
                MessageBody=body,
                MessageAttributes={"colour": {"DataType": "String", "StringValue": "red"}},
            )
        while await self.count(url):
            await self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0
            )

    async def count(self, url: str) -> int:
        """How many can be received now."""
        name = "ApproximateNumberOfMessages"
        answer = await self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
        return int(answer["Attributes"][name])

    async def bodies(self, url: str) -> list[str]:
        """The bodies of all that can be received now, which are hidden from then on."""
        found: list[str] = []
        while True:
            answer = await self.sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=300
            )
            if not answer.get("Messages"):
                return sorted(found)
            found += [one["Body"] for one in answer["Messages"]]

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "monitor",
            "dlq",
            *words,
            "--config",
            str(self.config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *words: str) -> tuple[int, str, str]:
        """Exit code, what it printed, and what it said beside that."""
        command = await self.start(*words)
        printed, said = await command.communicate()
        assert command.returncode is not None
        return command.returncode, printed.decode(), said.decode()

    async def shown(self, *words: str) -> list[dict[str, Any]]:
        code, printed, said = await self.run("show", "--json", *words)
        found = [json.loads(line) for line in printed.splitlines()]
        assert code == (1 if found else 0), said
        return found


@pytest.fixture
async def site(simulator: Simulator, tmp_path: Path) -> AsyncIterator[Site]:
    config = tmp_path / "settings.yaml"
    settings = settings_for(simulator, tmp_path)
    config.write_text(yaml.safe_dump(settings.model_dump(mode="json")))
    async with get_session().create_client(
        "sqs", region_name=REGION, endpoint_url=simulator.endpoint_url
    ) as sqs:
        yield Site(simulator, sqs, config)


async def disabled_key(
    site: Site, people: Callable[[str], Person], seen_by: Callable[[], Any] = nullcontext
) -> tuple[str, str]:
    """A key that was disabled behind the daemon's back, and the message about it."""
    arn = await people("admin").create_key()
    async with seen_by():
        pass
    await people("mallory").kms.disable_key(KeyId=arn)
    record = site.simulator.records[-1]
    await site.simulator.settle()
    await site.bodies(site.simulator.queue_url)
    return arn, wrap(record)


async def test_what_the_daemon_could_not_read_is_explained(site: Site, tmp_path: Path) -> None:
    await site.sqs.send_message(QueueUrl=site.simulator.queue_url, MessageBody=GARBAGE)
    async with daemon(settings_for(site.simulator, tmp_path)):
        await until(lambda: dead(site), 20)
    (told,) = await site.shown()
    assert (told["reason"], told["queue"], told["body"]) == ("not_json", DLQ, GARBAGE)
    assert "byte 0" in told["why"]
    assert await site.count(site.simulator.dlq_url) == 1  # given back


async def dead(site: Site) -> int:
    return await site.count(site.simulator.dlq_url)


async def test_what_can_be_handled_by_now_is_sent_back_and_handled(
    site: Site, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn, body = await disabled_key(
        site, people, lambda: daemon(settings_for(site.simulator, tmp_path))
    )
    await site.bury(body)
    (told,) = await site.shown()
    assert told["reason"] == "retried"
    assert told["event"]["event_name"] == "DisableKey"
    assert told["event"]["key"] == arn
    assert told["event"]["actor"].endswith(":user/mallory")
    (finding,) = told["findings"]
    assert (finding["detector"], finding["verdict"]) == ("key_disabled", "repair")
    code, _, said = await site.run("redrive", "--all", "--yes")
    assert (code, said) == (0, f"{DLQ}: 1 sent back, 0 stayed\n")
    assert site.simulator.records[-1]["eventName"] in {
        "ListMessageMoveTasks",
        "StartMessageMoveTask",
    }
    async with daemon(settings_for(site.simulator, tmp_path)):
        await until(lambda: site.simulator.kms.state_of(arn) == "Enabled")
    assert await site.shown() == []


async def test_one_by_one_where_sqs_does_not_move_them_itself(site: Site) -> None:
    site.simulator.set_knob("move_tasks", False)
    bodies = sorted(f"body {number}" for number in range(25))
    await site.bury(*bodies)
    code, _, said = await site.run("redrive", "--all", "--yes")
    assert code == 0
    assert "no StartMessageMoveTask" in said
    assert "25 sent back, 0 stayed" in said
    answer = await site.sqs.receive_message(
        QueueUrl=site.simulator.queue_url,
        MessageAttributeNames=["All"],
        VisibilityTimeout=0,
    )
    assert answer["Messages"][0]["MessageAttributes"]["colour"]["StringValue"] == "red"
    assert await site.bodies(site.simulator.queue_url) == bodies
    assert await site.bodies(site.simulator.dlq_url) == []


async def test_only_the_chosen_ones(site: Site, people: Callable[[str], Person]) -> None:
    _, body = await disabled_key(site, people)
    await site.bury(GARBAGE, body, "{}")
    code, _, said = await site.run("redrive", "--reason", "retried", "--dry-run")
    assert code == 0
    assert "1 would be sent back" in said
    assert await dead(site) == 3
    code, _, said = await site.run("redrive", "--reason", "retried", "--yes")
    assert (code, said) == (0, f"{DLQ}: 1 sent back, 0 stayed\n")
    assert await site.bodies(site.simulator.queue_url) == [body]
    told = await site.shown()
    assert sorted(one["reason"] for one in told) == ["not_json", "unknown_shape"]
    code, _, said = await site.run(
        "redrive", "--message-id", told[0]["message_id"], "--message-id", "none", "--yes"
    )
    assert code == 1
    assert "message none: not found" in said
    assert await dead(site) == 1


async def test_nothing_is_lost_when_it_is_killed_in_the_middle(site: Site) -> None:
    site.simulator.set_knob("move_tasks", False)
    bodies = sorted(f"body {number}" for number in range(12))
    await site.bury(*bodies)
    command = await site.start("redrive", "--all", "--yes", "--rate", "2")
    await until(lambda: moved(site, 2))
    command.kill()
    await command.communicate()
    for url in (site.simulator.queue_url, site.simulator.dlq_url):
        show_hidden(url)
    both = {
        *await site.bodies(site.simulator.queue_url),
        *await site.bodies(site.simulator.dlq_url),
    }
    assert sorted(both) == bodies


async def test_ctrl_c_gives_back_and_says_how_many_were_sent(site: Site) -> None:
    site.simulator.set_knob("move_tasks", False)
    await site.bury(*(f"body {number}" for number in range(12)))
    command = await site.start("redrive", "--all", "--yes", "--rate", "2")
    await until(lambda: moved(site, 2))
    command.send_signal(signal.SIGINT)
    _, said = await command.communicate()
    assert command.returncode == 1
    gone = await site.count(site.simulator.queue_url)
    assert f"{DLQ}: {gone} sent back" in said.decode()
    assert await dead(site) == 12 - gone


async def test_ctrl_c_ends_the_task_of_sqs(site: Site) -> None:
    await site.bury(*(f"body {number}" for number in range(12)))
    command = await site.start("redrive", "--all", "--yes", "--rate", "2")
    await until(lambda: moved(site, 2))
    command.send_signal(signal.SIGINT)
    _, said = await command.communicate()
    assert command.returncode == 1
    gone = await site.count(site.simulator.queue_url)
    assert f"{DLQ}: {gone} sent back, {12 - gone} stayed" in said.decode()
    assert await dead(site) == 12 - gone


async def moved(site: Site, count: int) -> bool:
    return await site.count(site.simulator.queue_url) >= count


def show_hidden(url: str) -> None:
    """Let the visibility time-outs of a queue run out."""
    from moto.sqs.models import sqs_backends  # noqa: PLC0415

    for message in sqs_backends[ACCOUNT][REGION].queues[url.rpartition("/")[2]]._messages:
        message.visible_at = 0


async def test_dead_letters_of_eventbridge(site: Site, people: Callable[[str], Person]) -> None:
    _, body = await disabled_key(site, people)
    url = (await site.sqs.create_queue(QueueName="rule-dlq"))["QueueUrl"]
    await site.sqs.send_message(
        QueueUrl=url,
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value}
            for name, value in EVENTBRIDGE.items()
        },
    )
    (told,) = await site.shown("--queue", url)
    assert told["reason"] == "undelivered"
    assert told["undelivered"]["error_code"] == "NO_PERMISSIONS"
    assert told["findings"][0]["detector"] == "key_disabled"
    code, _, said = await site.run("redrive", "--queue", url, "--all", "--yes")
    assert (code, said) == (0, "rule-dlq: 1 sent back, 0 stayed\n")
    assert await site.bodies(site.simulator.queue_url) == [body]


async def test_table(site: Site) -> None:
    await site.bury(GARBAGE + "\u202e [bold]")
    code, printed, said = await site.run("show", "--queue", "kms-monitor")
    assert code == 1
    assert f"{DLQ}: 1 dead message" in printed
    assert "not_json" in printed
    assert "[bold]" in printed  # no markup
    assert "\u202e" not in printed
    assert "counts as a receipt" in said


async def test_fifo_keeps_the_group(site: Site) -> None:
    sqs = site.sqs
    fifo = {"FifoQueue": "true"}
    dlq = (await sqs.create_queue(QueueName="dead.fifo", Attributes=fifo))["QueueUrl"]
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead.fifo"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 5})
    source = await sqs.create_queue(
        QueueName="live.fifo", Attributes=fifo | {"RedrivePolicy": policy}
    )
    await sqs.send_message(
        QueueUrl=dlq, MessageBody=GARBAGE, MessageGroupId="one", MessageDeduplicationId="1"
    )
    document = yaml.safe_load(site.config.read_text())
    document["queues"] = [{"url": source["QueueUrl"], "region": REGION}]
    site.config.write_text(yaml.safe_dump(document))
    code, _, said = await site.run("redrive", "--reason", "not_json", "--yes")
    assert (code, said) == (0, "dead.fifo: 1 sent back, 0 stayed\n")
    answer = await sqs.receive_message(
        QueueUrl=source["QueueUrl"], MessageSystemAttributeNames=["All"]
    )
    assert answer["Messages"][0]["Attributes"]["MessageGroupId"] == "one"


async def test_wrong_use_and_missing_rights_are_one_line_and_exit_code_2(site: Site) -> None:
    await site.bury(GARBAGE)
    for words, expected in (
        (["redrive", "--all"], "say --yes"),
        (["redrive", "--yes"], "say which messages"),
        (["show", "--queue", "nonsense"], "is none of kms-monitor, kms-monitor-dlq"),
        (["redrive", "--all", "--yes", "--to", "nonsense"], "no such queue"),
    ):
        code, printed, said = await site.run(*words)
        assert (code, printed) == (2, "")
        assert expected in said
        assert len(said.splitlines()) == 1
    site.simulator.set_knob("deny", ("kms-monitor:sqs:ReceiveMessage",))
    code, _, said = await site.run("show")
    assert code == 2
    assert "not permitted: sqs:ReceiveMessage" in said
    assert len(said.splitlines()) == 1
    site.simulator.set_knob("deny", ("kms-monitor:sqs:Start*",))
    code, _, said = await site.run("redrive", "--all", "--yes")
    assert code == 2
    assert "not permitted: sqs:StartMessageMoveTask" in said
    assert await dead(site) == 1
