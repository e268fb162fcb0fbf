"""The function on the simulator, called by what calls functions, in fair weather and foul."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from monitor.errors import SettingsError
from monitor.serverless.answering import NotDone
from monitor.serverless.container import ASK_AGAIN, LOOK_AGAIN
from monitor.simulator.functions import FunctionError
from monitor.simulator.server import Simulator
from tests import triggers
from tests.journey.conftest import ACCOUNT, REGION, Person, until, wrap
from tests.journey.functions import RULE, Here, container, deployed, document, environment, told
from tests.journey.scene import client
from tests.journey.test_approvals import approve

OTHER = "444455556666"
SWEEP = {"kms-monitor": "sweep"}


def enabled_by_us(simulator: Simulator) -> int:
    return sum(
        one["eventName"] == "EnableKey" and "errorCode" not in one for one in simulator.records
    )


async def harm(simulator: Simulator, people: Callable[[str], Person]) -> tuple[str, Any]:
    """A key that was disabled, and EventBridge's event that says so."""
    arn = await people("admin").create_key()
    await people("mallory").kms.disable_key(KeyId=arn)
    return arn, json.loads(wrap(simulator.records[-1]))


async def test_a_disabled_key_is_enabled_again_and_people_are_told(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    async with deployed(simulator) as function:
        arn = await people("admin").create_key()
        await people("mallory").kms.disable_key(KeyId=arn)
        await until(lambda: function.calls, 20)
        assert await people("admin").state(arn) == "Enabled"
        # Our own call comes as an event, too, and is known as ours.
        await until(lambda: len(function.calls) == 2, 20)
        assert [call.error for call in function.calls] == ["", ""]
        (one,) = await told(simulator, sqs)
        assert one["key"]["arn"] == arn


async def test_a_key_pending_deletion_ends_as_it_was(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator) as function:
        arn = await people("admin").create_key()
        await people("mallory").kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
        await until(lambda: function.calls, 20)
        assert await people("admin").state(arn) == "Enabled"


async def test_the_same_event_in_two_containers_at_once_is_acted_on_once(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    simulator.set_knob("retry_waits", (2.0, 4.0, 8.0))
    async with deployed(simulator, containers=2) as function:
        arn, event = await harm(simulator, people)
        function.permitted.clear()
        await until(lambda: not function.busy)
        function.permitted.add(("events.amazonaws.com", RULE))
        body = json.dumps(event)
        for _ in range(3):
            simulator.functions.take(function.arn, body, by="events.amazonaws.com", source=RULE)
        await simulator.functions.settle()
        assert await people("admin").state(arn) == "Enabled"
        assert enabled_by_us(simulator) == 1
        assert len(await told(simulator, sqs)) == 1
        # Each was done in the end, or found done.
        assert Counter(call.error == "" for call in function.calls)[True] >= 3


async def test_what_fails_for_good_is_a_dead_letter(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    simulator.set_knob("retry_waits", (0.05, 0.05))
    simulator.set_knob("deny", ("kms-monitor:kms:EnableKey",))
    async with deployed(simulator) as function:
        function.dead_letters = simulator.queue_arn.replace(":kms-monitor", ":kms-monitor-dlq")
        _, event = await harm(simulator, people)
        await until(lambda: function.calls, 20)
        await simulator.functions.settle()
        assert sum(bool(call.error) for call in function.calls) == 3
        (message,) = (await sqs.receive_message(QueueUrl=simulator.dlq_url))["Messages"]
        assert json.loads(message["Body"])["detail"]["eventID"] == event["detail"]["eventID"]


async def test_a_queue_calls_it_and_gets_back_what_cannot_be_read(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    redrive = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dead", "maxReceiveCount": 2}
    dead = (await sqs.create_queue(QueueName="dead"))["QueueUrl"]
    attributes = {"VisibilityTimeout": "0", "RedrivePolicy": json.dumps(redrive)}
    url = (await sqs.create_queue(QueueName="events", Attributes=attributes))["QueueUrl"]
    async with deployed(simulator) as function:
        function.permitted.clear()
        arn, event = await harm(simulator, people)
        await sqs.send_message(QueueUrl=url, MessageBody="poison")
        await sqs.send_message(QueueUrl=url, MessageBody=json.dumps(event))
        simulator.functions.map_queue(f"arn:aws:sqs:{REGION}:{ACCOUNT}:events", function)

        async def is_dead() -> bool:
            found = await sqs.receive_message(QueueUrl=dead, VisibilityTimeout=0)
            return [one["Body"] for one in found.get("Messages", [])] == ["poison"]

        await until(is_dead, 20)
        assert await people("admin").state(arn) == "Enabled"


# -- in foul weather


async def test_what_there_is_no_time_for_is_given_back_and_done_later(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    time = {"begin_seconds": 1, "margin_seconds": 3}
    async with container(simulator, function=time) as function:
        await function.invoke(SWEEP, Here())  # it is set up
        arn, event = await harm(simulator, people)
        simulator.set_knob("hang", ("kms-monitor:kms:*",))
        began = asyncio.get_running_loop().time()
        with pytest.raises(NotDone):
            await function.invoke(event, Here(seconds=6))
        assert asyncio.get_running_loop().time() - began < 5.9
        answer = await function.invoke(triggers.sqs(json.dumps(event)), Here(seconds=3.5))
        assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
        simulator.set_knob("hang", ())
        # No lease is left that it would have to wait for.
        assert await function.invoke(event, Here()) == {"done": 1}
        assert await people("admin").state(arn) == "Enabled"


async def test_throttling_is_waited_out(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with container(simulator) as function:
        harmed = [await harm(simulator, people) for _ in range(6)]
        simulator.set_knob("quota_scale", 0.4)
        batch = triggers.sqs(*(json.dumps(event) for _, event in harmed))
        assert await function.invoke(batch, Here()) == {"batchItemFailures": []}
        simulator.set_knob("quota_scale", None)
        assert {await people("admin").state(arn) for arn, _ in harmed} == {"Enabled"}


async def test_what_is_denied_is_told_and_done_once_it_is_allowed(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    async with container(simulator) as function:
        arn, event = await harm(simulator, people)
        simulator.set_knob("deny", ("kms-monitor:kms:EnableKey",))
        with pytest.raises(NotDone):
            await function.invoke(event, Here())
        assert [one["key"]["arn"] for one in await told(simulator, sqs)] == [arn]
        simulator.set_knob("deny", ())
        assert await function.invoke(event, Here()) == {"done": 1}
        assert await people("admin").state(arn) == "Enabled"


async def test_without_its_table_keys_are_put_back_all_the_same(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with container(simulator, table=False) as function:
        arn, event = await harm(simulator, people)
        await function.invoke(event, Here())
        assert await people("admin").state(arn) == "Enabled"


async def test_a_set_up_that_failed_is_tried_again(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    arn, event = await harm(simulator, people)
    async with container(simulator) as function:
        good = dict(function.environment)
        function.environment = good | {"KMS_MONITOR_SETTINGS": "mode: dance"}
        for _ in range(2):
            with pytest.raises(SettingsError, match="mode: is 'dance'"):
                await function.invoke(event, Here())
        function.environment = good
        assert await function.invoke(event, Here()) == {"done": 1}
        assert await people("admin").state(arn) == "Enabled"
        first = function.guard
        await function.invoke(event, Here())
        assert function.guard is first  # set up once


async def test_members_of_an_organization_are_asked_for_or_nothing_is_done(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    """An event of an account that is not known to be guarded would be dropped."""
    path = simulator.organizations.add_unit("ou-ex01-11111111")
    simulator.organizations.place(OTHER, "ou-ex01-11111111")
    organizations = [{"path": path, "role_name": "kms-monitor", "regions": [REGION]}]
    simulator.set_knob("deny", ("kms-monitor:organizations:*",))
    async with container(simulator, organizations=organizations) as function:
        arn, event = await harm(simulator, people)
        with pytest.raises(NotDone, match="organizations cannot be asked"):
            await function.invoke(event, Here())
        assert await people("admin").state(arn) == "Disabled"
        simulator.set_knob("deny", ())
        assert await function.invoke(event, Here()) == {"done": 1}
        assert await people("admin").state(arn) == "Enabled"
        assert function.guard is not None
        assert {account for account, _ in function.guard.settings.places} == {ACCOUNT, OTHER}
        # Asked again after an hour; while that cannot be done the last answer counts.
        clock = function.clock = Hands(function.clock)
        clock.ahead += ASK_AGAIN
        simulator.set_knob("deny", ("kms-monitor:organizations:*",))
        arn, event = await harm(simulator, people)
        assert await function.invoke(event, Here()) == {"done": 1}
        assert await people("admin").state(arn) == "Enabled"


async def test_a_person_approves_beside_the_function(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    """By the command, with the function's settings: what it approves the function leaves alone."""
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(document(simulator)))
    async with container(simulator) as function:
        await function.invoke(SWEEP, Here())
        arn = await people("admin").create_key()
        await function.invoke(SWEEP, Here())
        code, _, said = await approve(tmp_path, arn)
        assert code == 0, said
        await people("admin").kms.disable_key(KeyId=arn)
        event = json.loads(wrap(simulator.records[-1]))
        assert await function.invoke(event, Here()) == {"done": 1}
        assert await people("admin").state(arn) == "Disabled"


@pytest.mark.parametrize("order", [1, -1], ids=["native first", "CloudTrail first"])
async def test_what_kms_tells_by_itself_is_told(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any, order: int
) -> None:
    arn = await people("admin").create_key()
    native = {
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": "KMS CMK Deletion",
        "source": "aws.kms",
        "account": ACCOUNT,
        "time": "2026-11-20T09:14:03Z",
        "region": REGION,
        "resources": [arn],
        "detail": {"key-id": arn.rpartition("/")[2]},
    }
    by_service = json.loads(wrap(simulator.records[-1])) | {
        "detail-type": "AWS Service Event via CloudTrail"
    }
    by_service["detail"] |= {
        "eventName": "DeleteKey",
        "eventType": "AwsServiceEvent",
        "userIdentity": {"accountId": ACCOUNT, "invokedBy": "AWS Internal"},
        "requestParameters": None,
        "responseElements": {"keyId": arn},
    }
    events = [native, by_service][::order]
    async with container(simulator) as function:
        for event in events:
            assert await function.invoke(event, Here()) == {"done": 1}
        (one,) = await told(simulator, sqs)  # whoever says it, it is told once
        assert "deleted" in one["subject"]


class Hands:
    """A clock that can be moved on."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.ahead = 0.0

    def now(self) -> float:
        return float(self.clock.now())

    def monotonic(self) -> float:
        return float(self.clock.monotonic()) + self.ahead


async def test_settings_of_a_parameter_are_taken_when_they_change(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with client(simulator, "ssm", "admin") as ssm, container(simulator) as function:

        async def put(**changes: Any) -> None:
            await ssm.put_parameter(
                Name="/guard",
                Value=yaml.safe_dump(document(simulator, **changes)),
                Type="SecureString",
                Overwrite=True,
            )

        await put(mode="observe")
        given = dict(environment({})) | {"KMS_MONITOR_CONFIG": "ssm:/guard"}
        del given["KMS_MONITOR_SETTINGS"]
        function.environment = given
        clock = function.clock = Hands(function.clock)
        arn, event = await harm(simulator, people)
        await function.invoke(event, Here())
        assert await people("admin").state(arn) == "Disabled"
        await put(mode="enforce")
        arn, event = await harm(simulator, people)
        await function.invoke(event, Here())
        assert await people("admin").state(arn) == "Disabled"  # not looked at yet
        clock.ahead += LOOK_AGAIN
        arn, event = await harm(simulator, people)
        await function.invoke(event, Here())
        assert await people("admin").state(arn) == "Enabled"
        # Wrong ones are said, and the old ones stay.
        await put(mode="dance")
        clock.ahead += LOOK_AGAIN
        arn, event = await harm(simulator, people)
        with capture_logs() as lines:
            await function.invoke(event, Here())
        assert await people("admin").state(arn) == "Enabled"
        assert [one for one in lines if one["event"] == "settings not taken, the old ones stay"]


async def test_metrics_and_logs_of_a_call(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    written: list[str] = []
    async with container(simulator) as function:
        function.write = written.append
        _, event = await harm(simulator, people)
        with capture_logs(processors=[merged]) as lines:
            await function.invoke(event, Here())
    assert {one.get("request_id") for one in lines if one["event"] == "action"} == {"request-1"}
    found = [json.loads(one) for one in "".join(written).splitlines()]
    assert all(one["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "kms-monitor" for one in found)
    (acted,) = [one for one in found if one.get("responder") == "restore_key" and "outcome" in one]
    assert (acted["outcome"], acted["kms_monitor_actions_total"]) == ("done", 1)
    (called,) = [one for one in found if "kms_monitor_invocations_total" in one]
    assert (called["trigger"], called["result"]) == ("eventbridge", "done")
    assert event["detail"]["resources"][0]["ARN"] not in "".join(written)


async def test_what_the_kill_switch_stopped_is_done_once_it_is_off(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    written: list[str] = []
    soon = {"grace_minutes": 0.01}
    async with container(simulator, kill_switch=True, sweep=soon) as function:
        function.write = written.append
        arn = await people("admin").create_key()
        await function.invoke(SWEEP, Here())
        await people("mallory").kms.disable_key(KeyId=arn)
        event = json.loads(wrap(simulator.records[-1]))
        assert await function.invoke(event, Here()) == {"done": 1}
        for _ in range(2):
            await function.invoke(SWEEP, Here())
            await asyncio.sleep(0.7)
        assert await people("admin").state(arn) == "Disabled"
    found = [json.loads(one) for one in "".join(written).splitlines()]
    name = "kms_monitor_writes_stopped"
    assert [one[name] for one in found if name in one] == [1]
    async with container(simulator, sweep=soon) as function:
        await function.invoke(SWEEP, Here())
        assert await people("admin").state(arn) == "Enabled"


def merged(logger: Any, method: str, line: Any) -> Any:
    import structlog  # noqa: PLC0415

    return structlog.contextvars.merge_contextvars(logger, method, line)


# -- what it does because somebody asks for it


async def test_a_sweep_puts_back_what_no_event_told_of(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    """By two containers, each of which looks once: what is in doubt is remembered between them."""
    changes: dict[str, Any] = {"sweep": {"grace_minutes": 0.02}, "watched": {}}
    async with deployed(simulator, containers=2, **changes) as function:
        arn = await people("admin").create_key()
        assert (await function.invoke(SWEEP))["keys"] == 1
        function.permitted.clear()  # from now on no event comes through
        await people("mallory").kms.disable_key(KeyId=arn)
        await function.invoke(SWEEP)
        assert await people("admin").state(arn) == "Disabled"
        await asyncio.sleep(1.3)
        await function.invoke({"detail-type": "Scheduled Event", "source": "aws.events"})
        assert await people("admin").state(arn) == "Enabled"
        assert await function.invoke(SWEEP) == {"keys": 1, "unread": 0}


async def test_a_sweep_knows_the_rule_that_leads_to_the_function(
    simulator: Simulator, people: Callable[[str], Person], sqs: Any
) -> None:
    """A place whose events reach nobody is told of; one whose rule calls us is not."""
    async with deployed(simulator, watched={}) as function:
        await people("admin").create_key()
        await function.invoke(SWEEP)
        assert await told(simulator, sqs) == []
        async with client(simulator, "events", "admin") as events:
            await events.disable_rule(Name="kms-monitor")
        await function.invoke(SWEEP)
        subjects = [one["subject"] for one in await told(simulator, sqs)]
        assert [one for one in subjects if "rule" in one], subjects


async def test_a_sweep_that_cannot_look_everywhere_fails(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with deployed(simulator) as function:
        await people("admin").create_key()
        simulator.set_knob("deny", ("kms-monitor:kms:ListKeys",))
        with pytest.raises(FunctionError, match="ListKeys"):
            await function.invoke(SWEEP)


async def test_a_sweep_reads_what_there_is_time_for(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    """States first, which are quickly read; the rest of the keys goes on with the next look."""
    slow = {"calls_per_second": 5}  # a second for each key
    async with container(simulator, sweep=slow) as function:
        for _ in range(6):
            await people("admin").create_key()
        first = await function.invoke(SWEEP, Here(seconds=7))
        assert first["keys"] == 6
        assert 1 <= first["unread"] < 6
        assert await function.invoke(SWEEP, Here()) == {"keys": 6, "unread": 0}


async def test_a_sweep_without_enough_time_fails(
    simulator: Simulator, people: Callable[[str], Person]
) -> None:
    async with container(simulator) as function:
        await people("admin").create_key()
        simulator.set_knob("hang", ("kms-monitor:kms:*",))
        with pytest.raises(NotDone, match="too short"):
            await function.invoke(SWEEP, Here(seconds=4))
