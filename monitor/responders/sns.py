"""Tells by Amazon SNS: one Publish to one topic for each stage of a finding.

What the topic's subscribers get (`MessageStructure=json`): people the plain text, machines the JSON
of `monitor.telling.notification`, phones the subject line. Attributes let subscription filter
policies choose. Sizes, forms and error codes: aws-facts 6. A Publish that succeeds says that SNS has the
message, not that a subscriber got it; for that, give the subscriptions a redrive policy.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic import BaseModel, Field

from monitor.decision import Action, Decision, Outcome
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.finding import Aspect, Severity
from monitor.plugins import Services
from monitor.setting_types import SeverityWord
from monitor.telling import advice, headline, notification

if TYPE_CHECKING:
    from types_aiobotocore_sns.type_defs import MessageAttributeValueTypeDef

TOPIC_ARN: Final = (
    r"^arn:aws[a-z-]{0,20}:sns:[a-z]{2}[a-z0-9-]{2,30}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$"
)
MOST_BYTES: Final = 256 * 1024
"""Of message, subject and attributes together (aws-facts 6)."""
MACHINES: Final = ("sqs", "lambda", "http", "https", "firehose")
LIMITS: Final = (headline.LIMIT, 150, 50)
"""Characters of the longest quoted text, tried one after the other until the message fits."""


class SnsOptions(BaseModel, extra="forbid"):
    """Settings of the responder `sns`."""

    topic_arn: str = Field(
        pattern=TOPIC_ARN,
        description="ARN of the topic, FIFO or standard; its Region is where we publish.",
    )
    min_severity: SeverityWord = Field(
        default="info",
        description="Findings less severe than this are not published; one that ends an incident "
        "counts as its incident.",
    )

    @property
    def region(self) -> str:
        return self.topic_arn.split(":")[3]

    @property
    def fifo(self) -> bool:
        return self.topic_arn.endswith(".fifo")


class Sns:
    """Publishes each decision to a topic."""

    name: ClassVar[str] = "sns"
    repairs: ClassVar[bool] = False
    aspects: ClassVar[frozenset[Aspect]] = frozenset()
    Options: ClassVar[type[BaseModel]] = SnsOptions

    def __init__(self, options: SnsOptions, services: Services) -> None:
        self.options = options
        self.services = services
        self.lowest = Severity[options.min_severity.upper()]
        self._problem: str | None = None

    async def respond(self, decision: Decision) -> Action:
        """Publish. Raises what `Aws.calling` raises, and `WorthRetrying` for the topic's own key."""
        now = self.services.clock.now
        if decision.weight < self.lowest:
            detail = f"nothing to tell: below {self.options.min_severity}"
            return Action(self.name, Outcome.ALREADY, detail, finished_at=now())
        request = publish_request(decision, self.services.environment, self.options)
        try:
            message_id = await self._publish(request)
        except NotWorthRetrying as error:
            self._problem = headline.clean(str(error), 300)
            if error.code.startswith("KMS"):
                # The key that encrypts the topic is itself out of use, perhaps by the very event
                # that we report: it may be restored any moment.
                raise WorthRetrying(str(error), code=error.code) from error
            raise
        self._problem = None
        return Action(self.name, Outcome.DONE, f"MessageId {message_id}", finished_at=now())

    async def _publish(self, request: dict[str, Any]) -> str:
        aws = self.services.aws
        async with aws.calling("sns", "Publish"):
            client = await aws.sns(self.options.region)
            return (await client.publish(**request))["MessageId"]

    async def serve(self) -> None:
        """No connection of its own: the AWS clients are shared."""

    def problem(self) -> str | None:
        """What SNS last refused for good, until a Publish succeeds."""
        return self._problem


def publish_request(decision: Decision, environment: str, options: SnsOptions) -> dict[str, Any]:
    """The arguments of Publish; below 256 KiB whatever the decision holds."""
    finding = decision.finding
    labels = attributes(decision, environment)
    line = headline.subject(decision, environment)
    request: dict[str, Any] = {
        "TopicArn": options.topic_arn,
        "Subject": line,
        "MessageStructure": "json",
        "MessageAttributes": labels,
    }
    if options.fifo:
        # One key's messages stay in order. Each stage is news; a redelivery of one is not.
        key = finding.key.arn if finding.key else f"{finding.account}|{finding.region}"
        request["MessageGroupId"] = notification.digest(key)
        stage = advice.stage(decision)
        request["MessageDeduplicationId"] = f"{notification.identity(finding)}-{stage}"
    room = MOST_BYTES - len(line) - attribute_bytes(labels)
    for limit in LIMITS:
        for everybody in (True, False):
            body = structured(decision, environment, limit, everybody=everybody)
            if len(body.encode()) <= room:
                return request | {"Message": body}
    return request | {"Message": json.dumps({"default": line})}


def structured(decision: Decision, environment: str, limit: int, *, everybody: bool) -> str:
    """The text for each protocol. To shrink: only SQS and Lambda, the usual machines, get JSON."""
    people = notification.text(decision, environment, limit)
    machines = json.dumps(
        notification.message(decision, environment, limit), ensure_ascii=False, allow_nan=False
    )
    texts = {"default": people, "sms": headline.subject(decision, environment)[:140]}
    if everybody:
        texts["email"] = people
    for protocol in MACHINES if everybody else MACHINES[:2]:
        texts[protocol] = machines
    return json.dumps(texts, ensure_ascii=False)


def attributes(decision: Decision, environment: str) -> dict[str, "MessageAttributeValueTypeDef"]:
    """For filter policies: at most 10, which is what raw delivery to SQS carries, none empty."""
    finding = decision.finding
    words = {
        "severity": finding.severity.word,
        "account": finding.account,
        "region": finding.region,
        "detector": finding.detector,
        "event_name": finding.event_name,
        "environment": environment,
        "kind": finding.kind.value,
        "verdict": decision.verdict.value,
        "outcome": advice.stage(decision),
    }
    labels: dict[str, MessageAttributeValueTypeDef] = {
        name: {"DataType": "String", "StringValue": value}
        for name, word in words.items()
        if (value := headline.clean(word, 128))
    }
    # As a number too, so that a filter policy can say "at least".
    number = str(int(finding.severity))
    labels["severity_number"] = {"DataType": "Number", "StringValue": number}
    return labels


def attribute_bytes(labels: Mapping[str, "MessageAttributeValueTypeDef"]) -> int:
    """Names, types and values all count."""
    return sum(
        len(name) + len(label["DataType"]) + len(label.get("StringValue", "").encode())
        for name, label in labels.items()
    )
