"""Somebody cut an SNS topic of ours off, or let strangers listen (aws-facts 4.2, 6, 7.3)."""

import json
from collections.abc import Iterable
from typing import Any, ClassVar

from monitor.arns import arn_in, arn_of, topic_of
from monitor.detector import About, NoOptions
from monitor.event import Event
from monitor.finding import Finding, Severity
from monitor.iam_policy.plain import is_public, read
from monitor.parameters import mapped, short
from monitor.whose import OnOurs, lowered

SNS = "sns.amazonaws.com"
REFERENCE = "https://docs.aws.amazon.com/sns/latest/api"
GUIDE = "https://docs.aws.amazon.com/sns/latest/dg"
Told = tuple[Severity, str, dict[str, str]] | None
"""How severe, a title, and details; None where there is nothing to say."""


MENDABLE = frozenset({"AddPermission", "RemovePermission", "SetTopicAttributes"})
"""Calls that a responder may undo: a topic that is gone takes its subscriptions with it."""


class TopicChanged(OnOurs[NoOptions]):
    name: ClassVar = "topic_changed"
    title: ClassVar = "SNS topic changed"
    about: ClassVar = About(
        description="Somebody deleted an SNS topic or a subscription that events come through or "
        "that our notifications go out by, filters or rewraps what it carries, changed who may use "
        "it, or listens to it who should not.",
        severity="critical if one of our topics or subscriptions is deleted; high for a filter, a "
        "public policy, a key, a stranger who listens; medium to low for lesser changes; low if no "
        "topic is known; other topics are not told of. An attempt is medium if AWS denied it, else "
        "low",
        techniques=("T1562.001", "T1530"),
        false_positives=(
            "A deployment replaces the topic or its subscriptions.",
            "A colleague subscribes to notifications.",
        ),
        advice=(
            "Look at the topic: aws sns get-topic-attributes, list-subscriptions-by-topic.",
            "Put back the subscription of our queue, without a filter policy.",
            "Remove subscriptions that nobody knows: they got every notification since.",
        ),
        references=(
            f"{REFERENCE}/API_SetSubscriptionAttributes.html",
            f"{REFERENCE}/API_Unsubscribe.html",
            f"{GUIDE}/sns-subscription-filter-policies.html",
            f"{GUIDE}/sns-large-payload-raw-message-delivery.html",
        ),
    )
    events: ClassVar = frozenset(
        (SNS, name)
        for name in (
            "AddPermission",
            "DeleteTopic",
            "RemovePermission",
            "SetSubscriptionAttributes",
            "SetTopicAttributes",
            "Subscribe",
            "Unsubscribe",
        )
    )

    def inspect(self, event: Event) -> Iterable[Finding]:
        request = event.request()
        subscription = arn_of(event, "sns", request.get("subscriptionArn"))
        arn = subscription or arn_of(event, "sns", request.get("topicArn"))
        if event.failed:
            arn = arn or arn_in(event.error_message, "sns")
            watched = self.knowledge.watched
            # Most topics have nothing to do with keys: where none is known, nothing is told.
            if self.is_ours(arn) is False or not (watched.topics or watched.subscriptions):
                return []
            return [self.attempt(event, WHAT[event.event_name], resource=arn)]
        ours = self.is_ours(arn)
        if ours is False:
            return []
        told = self.told(event, request, subscription)
        # Where no topic is known, anybody may subscribe to anything.
        if told is None or (ours is None and event.event_name == "Subscribe"):
            return []
        severity, title, details = told
        tell = self.damage if event.event_name in MENDABLE else self.notice
        return [tell(event, title, lowered(severity, ours), arn, details)]

    def is_ours(self, arn: str) -> bool | None:
        """A topic by itself; a subscription by itself, or by its topic."""
        if not arn:
            return None
        found = [self.whose("topics", topic_of(arn) or arn)]
        if topic_of(arn):
            found.append(self.whose("subscriptions", arn))
        return True if any(found) else None if all(one is None for one in found) else False

    def told(self, event: Event, request: dict[str, Any], subscription: str) -> Told:
        match event.event_name:
            case "DeleteTopic":
                return Severity.CRITICAL, "SNS topic deleted", {}
            case "Unsubscribe":
                known = subscription in self.knowledge.watched.subscriptions
                severity = Severity.CRITICAL if known else Severity.HIGH
                return severity, "SNS subscription deleted", {}
            case "RemovePermission":
                details = {"label": short(request.get("label"))}
                return Severity.HIGH, "Permission of an SNS topic removed", details
            case "AddPermission":
                return self.permitted(event)
            case "Subscribe":
                return self.subscribed(event, request)
            case "SetTopicAttributes":
                return topic_attribute(request)
            case _:
                return subscription_attribute(request)

    def permitted(self, event: Event) -> Told:
        strangers = self.strangers(event)
        severity = Severity.HIGH if strangers else Severity.LOW
        details = {"accounts": ", ".join(strangers)[:300] or "our own"}
        return severity, "Others may use an SNS topic", details

    def subscribed(self, event: Event, request: dict[str, Any]) -> Told:
        """Who listens now. An endpoint that has no ARN, such as an address, may be anybody's."""
        endpoint = request.get("endpoint")
        text = endpoint if isinstance(endpoint, str) else ""
        if self.whose("queues", text):
            filtered = mapped(request.get("attributes")).get("FilterPolicy")
            attribute = {"attributeName": "FilterPolicy", "attributeValue": filtered}
            return subscription_attribute(attribute)
        parts = text.split(":")
        account = parts[4] if text.startswith("arn:") and len(parts) > 5 else ""
        severity = Severity.HIGH if self.strange(event, account) else Severity.LOW
        details = {"protocol": short(request.get("protocol")), "endpoint": short(text)}
        return severity, "Somebody subscribed to an SNS topic", details


def topic_attribute(request: dict[str, Any]) -> Told:
    value = request.get("attributeValue")
    match request.get("attributeName"):
        case "Policy":
            if is_public(read(value)):
                return Severity.HIGH, "Everybody may use an SNS topic", {}
            return Severity.MEDIUM, "Policy of an SNS topic replaced", {}
        case "KmsMasterKeyId" if value:
            title = "A key encrypts an SNS topic: whoever rules it rules the topic"
            return Severity.HIGH, title, {"key": short(value)}
        case _:
            return None


def subscription_attribute(request: dict[str, Any]) -> Told:
    name, value = request.get("attributeName"), request.get("attributeValue")
    match name:
        case "FilterPolicy" if filters(value):
            details = {"filter": short(value)}
            return Severity.HIGH, "An SNS subscription filters what it carries", details
        case "RawMessageDelivery" if str(value).lower() == "true":
            # Without the wrapping there is no signature to check (aws-facts 4.2).
            return Severity.MEDIUM, "An SNS subscription delivers without a signature", {}
        case "RedrivePolicy" if not filters(value):
            return Severity.LOW, "An SNS subscription has no dead-letter queue any more", {}
        case _:
            return None


def filters(value: object) -> bool:
    """Whether a policy, a JSON text, has anything in it."""
    if not isinstance(value, str):
        return bool(value)
    try:
        return bool(json.loads(value or "{}"))
    except (ValueError, RecursionError):
        return True


WHAT = {
    "AddPermission": "Letting others use an SNS topic",
    "DeleteTopic": "Deleting an SNS topic",
    "RemovePermission": "Removing a permission of an SNS topic",
    "SetSubscriptionAttributes": "Changing an SNS subscription",
    "SetTopicAttributes": "Changing an SNS topic",
    "Subscribe": "Subscribing to an SNS topic",
    "Unsubscribe": "Deleting an SNS subscription",
}
