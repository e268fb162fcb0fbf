"""What our sight rests on is found out, and told where it is not there."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session

from monitor.app import App
from monitor.assembly import know, make_aws
from monitor.clock import SystemClock
from monitor.event import Event
from monitor.key import KeyRef
from monitor.knowledge import Knowledge, Watched
from monitor.lookouts import our_queues, told_by
from monitor.loops.inventory import Inventory
from monitor.metrics import Metrics
from monitor.settings import Settings
from monitor.simulator.server import Simulator
from monitor.simulator.words import Caller
from tests.journey.conftest import ACCOUNT, REGION, Person, daemon, settings_for, until
from tests.journey.test_sweep import blind, value

OTHER, FAR = "444455556666", "us-east-1"
TRAIL = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/kms-monitor"
RULE = f"arn:aws:events:{REGION}:{ACCOUNT}:rule/kms-monitor"


def client(simulator: Simulator, service: Any) -> Any:
    return get_session().create_client(
        service,
        region_name=REGION,
        endpoint_url=simulator.endpoint_url,
        aws_access_key_id="admin",
        aws_secret_access_key="any",
    )


def far(simulator: Simulator, operation: str, **parameters: Any) -> None:
    """Somebody changes the rules of the other account."""
    root = Caller(account=OTHER, arn=f"arn:aws:iam::{OTHER}:root")
    simulator.bridge.call(operation, parameters, caller=root, account=OTHER, region=FAR)


class Looked:
    def __init__(self, knowledge: Knowledge, told: list[Event], inventory: Inventory) -> None:
        self.watched: Watched = knowledge.watched
        self.told = told
        self.inventory = inventory

    @property
    def missing(self) -> dict[tuple[str | None, str | None], Any]:
        return {
            (one.recipient_account_id, one.aws_region): one.request()["missing"]
            for one in self.told
            if one.event_name == "Unwatched"
        }


async def look(settings: Settings) -> Looked:
    """One look of an inventory without its daemon."""
    told: list[Event] = []

    def tell(event: Event) -> bool:
        told.append(event)
        return True

    knowledge = know(settings)
    async with make_aws(settings, Metrics()) as aws:
        inventory = Inventory(
            aws,
            SystemClock(),
            knowledge,
            places=settings.places,
            queues=our_queues(settings),
            topics=settings.sns_topics,
            told_by=told_by(settings),
            tell=tell,
        )
        await inventory.look()
    return Looked(knowledge, told, inventory)


async def test_all_is_found(simulator: Simulator, tmp_path: Path) -> None:
    sns = {"topic_arn": simulator.topic_arn}
    settings = settings_for(simulator, tmp_path, responders={"restore_key": {}, "sns": sns})
    looked = await look(settings)
    watched = looked.watched
    assert watched.trails == {TRAIL}
    assert watched.rules == {RULE}
    assert watched.buses == {f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"}
    assert {arn.rpartition(":")[2] for arn in watched.queues} == {"kms-monitor", "kms-monitor-dlq"}
    assert watched.topics == {simulator.topic_arn}
    assert watched.buckets == {f"arn:aws:s3:::kms-monitor-trail-{ACCOUNT}"}
    assert watched.roles == {f"arn:aws:iam::{ACCOUNT}:user/kms-monitor"}
    assert watched.keys == {}
    assert looked.told == []


async def test_a_topic_that_wraps_events_is_known_with_its_subscription(
    simulator: Simulator, tmp_path: Path
) -> None:
    url = simulator.topic_queue_url
    settings = settings_for(
        simulator,
        tmp_path,
        queues=[{"url": url, "region": REGION}],
        sns_topics=[simulator.topic_arn],
    )
    async with client(simulator, "sns") as sns:
        dead = f"arn:aws:sqs:{REGION}:{ACCOUNT}:kms-monitor-dlq"  # is no queue that we read
        await sns.subscribe(TopicArn=simulator.topic_arn, Protocol="sqs", Endpoint=dead)
    looked = await look(settings)
    (subscription,) = looked.watched.subscriptions
    assert subscription.startswith(f"{simulator.topic_arn}:")
    assert looked.missing == {(ACCOUNT, REGION): ["rule"]}


async def test_a_trail_that_does_not_log_and_a_rule_that_does_not_send(
    simulator: Simulator, tmp_path: Path
) -> None:
    settings = settings_for(simulator, tmp_path)
    blind(simulator)
    assert (await look(settings)).missing == {(ACCOUNT, REGION): ["rule"]}
    async with client(simulator, "cloudtrail") as cloudtrail:
        await cloudtrail.stop_logging(Name="kms-monitor")
    assert (await look(settings)).missing == {(ACCOUNT, REGION): ["trail", "rule"]}


async def test_what_comes_in_log_files_needs_no_rule(simulator: Simulator, tmp_path: Path) -> None:
    queues = [{"url": simulator.queue_url, "region": REGION, "priority": "bulk"}]
    blind(simulator)
    assert (await look(settings_for(simulator, tmp_path, queues=queues))).missing == {}


@pytest.mark.parametrize(
    "selector",
    [
        {"IncludeManagementEvents": True, "ReadWriteType": "ReadOnly"},
        {
            "IncludeManagementEvents": True,
            "ReadWriteType": "All",
            "ExcludeManagementEventSources": ["kms.amazonaws.com"],
        },
    ],
)
async def test_a_trail_that_leaves_kms_out(
    simulator: Simulator, tmp_path: Path, selector: dict[str, Any]
) -> None:
    async with client(simulator, "cloudtrail") as cloudtrail:
        await cloudtrail.put_event_selectors(TrailName="kms-monitor", EventSelectors=[selector])
    looked = await look(settings_for(simulator, tmp_path))
    assert looked.missing == {(ACCOUNT, REGION): ["trail"]}
    assert looked.watched.trails == {TRAIL}


@pytest.mark.parametrize("service", ["cloudtrail", "events", "sqs", "iam", "sts"])
async def test_what_is_denied_is_not_said_to_be_missing_and_leaves_the_rest(
    simulator: Simulator, tmp_path: Path, service: str
) -> None:
    simulator.set_knob("deny", (f"kms-monitor:{service}:*",))
    looked = await look(settings_for(simulator, tmp_path))
    assert looked.missing == {}
    assert bool(looked.watched.trails) is (service != "cloudtrail")
    assert bool(looked.watched.rules) is (service != "events")
    assert looked.inventory.reported


async def test_a_bus_that_we_may_not_see_may_lead_to_us(
    simulator: Simulator, tmp_path: Path
) -> None:
    blind(simulator)
    simulator.set_knob("deny", ("kms-monitor:events:ListEventBuses",))
    assert (await look(settings_for(simulator, tmp_path))).missing == {}


async def test_the_way_over_a_central_bus(simulator: Simulator, tmp_path: Path) -> None:
    role = f"arn:aws:iam::{OTHER}:role/kms-monitor"
    settings = settings_for(
        simulator,
        tmp_path,
        accounts=[
            {"id": ACCOUNT, "regions": [REGION]},
            {"id": OTHER, "regions": [FAR], "role_arn": role},
        ],
    )
    far(simulator, "RemoveTargets", Rule="kms-monitor", Ids=["kms-monitor"])
    assert (await look(settings)).missing == {(OTHER, FAR): ["rule"]}
    bus = f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"
    far(simulator, "PutTargets", Rule="kms-monitor", Targets=[{"Id": "central", "Arn": bus}])
    looked = await look(settings)
    assert looked.missing == {}
    assert looked.watched.rules == {RULE, f"arn:aws:events:{FAR}:{OTHER}:rule/kms-monitor"}
    assert role in looked.watched.roles
    blind(simulator)
    assert set((await look(settings)).missing) == {(ACCOUNT, REGION), (OTHER, FAR)}


async def test_a_key_that_guards_what_it_is_guarded_by(
    simulator: Simulator, people: Callable[[str], Person], tmp_path: Path
) -> None:
    arn = await people("admin").create_key()
    await people("admin").kms.create_alias(AliasName="alias/queue", TargetKeyId=arn)
    async with client(simulator, "sqs") as sqs:
        await sqs.set_queue_attributes(
            QueueUrl=simulator.queue_url, Attributes={"KmsMasterKeyId": "alias/queue"}
        )
    looked = await look(settings_for(simulator, tmp_path))
    assert looked.watched.keys == {KeyRef.parse(arn): "the queue kms-monitor"}
    (event,) = looked.told
    assert (event.event_name, event.key) == ("KeyGuardsSight", KeyRef.parse(arn))


@asynccontextmanager
async def found(settings: Settings, detector: str, severity: str) -> AsyncIterator[App]:
    async with daemon(settings) as app:
        labels = {"detector": detector, "severity": severity}
        await until(lambda: value(app, "findings_total", **labels) == 1)
        yield app


async def test_people_are_told(simulator: Simulator, tmp_path: Path) -> None:
    blind(simulator)
    settings = settings_for(simulator, tmp_path, watched={})
    async with found(settings, "place_unwatched", "high"):
        pass


async def test_discovery_can_be_turned_off(simulator: Simulator, tmp_path: Path) -> None:
    async with daemon(settings_for(simulator, tmp_path, watched={"discover": False})):
        pass
    asked = {record["eventName"] for record in simulator.records}
    assert not asked & {"DescribeTrails", "ListRuleNamesByTarget"}
