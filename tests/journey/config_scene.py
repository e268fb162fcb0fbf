"""AWS Config at the simulator: a recorder, a topic, and the custom rule as its function."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.session import get_session

from monitor.aws import Aws
from monitor.baselines import Baselines
from monitor.clock import SystemClock
from monitor.config_rule.rule import ConfigRule
from monitor.errors import MonitorError
from monitor.knowledge import Knowledge
from monitor.metrics import Metrics
from monitor.simulator.server import Simulator
from monitor.stores.memory import MemoryStore
from tests.journey.conftest import ACCOUNT, REGION

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:kms-monitor"
RULE = "kms-keys-safe"
ON_CHANGE = [
    {"EventSource": "aws.config", "MessageType": name}
    for name in (
        "ConfigurationItemChangeNotification",
        "OversizedConfigurationItemChangeNotification",
    )
]
ON_TIME = [
    {
        "EventSource": "aws.config",
        "MessageType": "ScheduledNotification",
        "MaximumExecutionFrequency": "One_Hour",
    }
]


class ConfigScene:
    """The rule's function in this process, and `admin` to make recorder, rules and keys."""

    def __init__(self, simulator: Simulator, aws: Aws, metrics: Metrics) -> None:
        self.simulator = simulator
        self.metrics = metrics
        self.clock = SystemClock()
        self.store = MemoryStore(self.clock)
        self.knowledge = Knowledge()
        self.knowledge.accounts = frozenset({ACCOUNT})
        self.knowledge.places = frozenset({(ACCOUNT, REGION)})
        self.baselines = Baselines(self.store, self.knowledge)
        self.rule = ConfigRule(aws, self.knowledge, self.clock, metrics, baselines=self.baselines)
        self.events: list[dict[str, Any]] = []
        self.answers: list[Any] = []
        self.kms: Any = None
        self.config: Any = None
        simulator.config.invoke = self.function
        simulator.config.knows = lambda _: True

    async def function(self, _arn: str, event: dict[str, Any]) -> str:
        self.events.append(event)
        try:
            self.answers.append(await self.rule.evaluate(event))
        except MonitorError as error:
            self.answers.append(error)
            return str(error)
        return ""

    async def record(self) -> None:
        """Have Config record all there is, and tell it by the topic."""
        await self.config.put_configuration_recorder(
            ConfigurationRecorder={
                "name": "default",
                "roleARN": f"arn:aws:iam::{ACCOUNT}:role/config",
                "recordingGroup": {"allSupported": True},
            }
        )
        await self.config.put_delivery_channel(
            DeliveryChannel={
                "name": "default",
                "s3BucketName": "config-bucket",
                "snsTopicARN": self.simulator.topic_arn,
            }
        )
        await self.config.start_configuration_recorder(ConfigurationRecorderName="default")
        await self.simulator.settle()

    async def put_rule(
        self, details: list[dict[str, str]] | None = None, **parameters: str
    ) -> None:
        await self.config.put_config_rule(
            ConfigRule={
                "ConfigRuleName": RULE,
                "Source": {
                    "Owner": "CUSTOM_LAMBDA",
                    "SourceIdentifier": FUNCTION,
                    "SourceDetails": details or ON_CHANGE,
                },
                "InputParameters": json.dumps(parameters),
                "Scope": {"ComplianceResourceTypes": ["AWS::KMS::Key"]},
            }
        )
        await self.simulator.settle()

    async def verdicts(self, *types: str) -> dict[str, tuple[str, str]]:
        """Compliance and annotation by the ARN's last part."""
        answer = await self.config.get_compliance_details_by_config_rule(
            ConfigRuleName=RULE, **({"ComplianceTypes": list(types)} if types else {})
        )
        return {
            one["EvaluationResultIdentifier"]["EvaluationResultQualifier"]["ResourceId"]: (
                one["ComplianceType"],
                one.get("Annotation", ""),
            )
            for one in answer["EvaluationResults"]
        }

    async def verdict(self, arn: str) -> tuple[str, str]:
        kinds = ("COMPLIANT", "NON_COMPLIANT", "NOT_APPLICABLE")
        return (await self.verdicts(*kinds))[arn.rpartition("/")[2]]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"kms_monitor_{name}", labels) or 0.0


@asynccontextmanager
async def config_scene(simulator: Simulator) -> AsyncIterator[ConfigScene]:
    session, metrics = get_session(), Metrics()
    common: dict[str, Any] = {
        "region_name": REGION,
        "endpoint_url": simulator.endpoint_url,
        "aws_access_key_id": "admin",
        "aws_secret_access_key": "any",
    }
    async with (
        Aws(metrics, home_region=REGION) as aws,
        session.create_client("kms", **common) as kms,
        session.create_client("config", **common) as config,
    ):
        scene = ConfigScene(simulator, aws, metrics)
        scene.kms, scene.config = kms, config
        yield scene
