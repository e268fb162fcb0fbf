"""Calls that blind or cripple the daemon, and whether what they touch is ours.

What each call means by itself is for its own detector to say; here it only matters that somebody
blinded us about the time when a key was damaged. Parameters: aws-facts 7.
"""

from collections.abc import Callable
from typing import Any

from monitor.arns import arn_of, bus_arn, queue_arn, rule_arn, trail_arn
from monitor.event import Event
from monitor.knowledge import Watched
from monitor.sight.trails import sight

Arn = Callable[[Event, dict[str, Any]], str]
"""Reads what a call touches."""


def trail(member: str) -> Arn:
    return lambda event, request: trail_arn(event, request.get(member))


def rule(member: str) -> Arn:
    return lambda event, request: rule_arn(event, request.get(member), request.get("eventBusName"))


def topic(member: str) -> Arn:
    return lambda event, request: arn_of(event, "sns", request.get(member))


def bus(event: Event, request: dict[str, Any]) -> str:
    return bus_arn(event, request.get("name"))


def queue(event: Event, request: dict[str, Any]) -> str:
    return queue_arn(event, request.get("queueUrl"))


CALLS: dict[tuple[str, str], tuple[str, Arn]] = {
    ("cloudtrail.amazonaws.com", "DeleteTrail"): ("trails", trail("name")),
    ("cloudtrail.amazonaws.com", "PutEventSelectors"): (
        "trails",
        trail("trailName"),
    ),
    ("cloudtrail.amazonaws.com", "StopLogging"): ("trails", trail("name")),
    ("cloudtrail.amazonaws.com", "UpdateTrail"): ("trails", trail("name")),
    ("events.amazonaws.com", "DeleteEventBus"): ("buses", bus),
    ("events.amazonaws.com", "DeleteRule"): ("rules", rule("name")),
    ("events.amazonaws.com", "DisableRule"): ("rules", rule("name")),
    ("events.amazonaws.com", "PutRule"): ("rules", rule("name")),
    ("events.amazonaws.com", "RemoveTargets"): ("rules", rule("rule")),
    ("sns.amazonaws.com", "DeleteTopic"): ("topics", topic("topicArn")),
    ("sns.amazonaws.com", "Unsubscribe"): ("subscriptions", topic("subscriptionArn")),
    ("sqs.amazonaws.com", "DeleteQueue"): ("queues", queue),
    ("sqs.amazonaws.com", "PurgeQueue"): ("queues", queue),
    ("sqs.amazonaws.com", "SetQueueAttributes"): ("queues", queue),
}
"""The calls, with what they touch (a field of `Watched`) and how to read its ARN."""
ROLES = frozenset(
    ("iam.amazonaws.com", name)
    for name in (
        "DeleteRole",
        "DeleteRolePolicy",
        "DetachRolePolicy",
        "PutRolePermissionsBoundary",
        "UpdateAssumeRolePolicy",
    )
)
"""They cripple a role. Everyday calls: they count only for a role that is known to be ours."""
RECORDERS = frozenset(
    ("config.amazonaws.com", name)
    for name in ("DeleteConfigurationRecorder", "StopConfigurationRecorder")
)
"""AWS Config is no eye of ours, but whoever stops it wants nobody to see."""


HARMLESS_ATTRIBUTES = frozenset(
    {"ReceiveMessageWaitTimeSeconds", "RedrivePolicy", "VisibilityTimeout"}
)
"""Attributes of a queue by which no event is lost to us."""
REACH = ("isMultiRegionTrail", "isOrganizationTrail")
"""What of a trail must not be switched off: beyond its home it then records nothing."""


def blinds(event: Event, watched: Watched) -> tuple[bool, str] | None:
    """Whether it surely blinds us (else perhaps), and the ARN of what it touches; None: it does not.

    A trail counts whoever it belongs to: to stop one is never routine.
    """
    call = (event.event_source, event.event_name)
    request = event.request()
    if call in ROLES:
        role = own_role(event, request, watched)
        return (True, role) if role else None
    if call in RECORDERS:
        return False, ""
    if call not in CALLS or leaves_sight(event.event_name, request):
        return None
    kind, read = CALLS[call]
    arn = read(event, request)
    ours = watched.ours(kind, arn)
    if ours is False and kind != "trails":
        return None
    return (ours is True or (ours is None and kind == "trails"), arn)


def leaves_sight(name: str, request: dict[str, Any]) -> bool:
    """Whether a call that may blind does not, as it is of every day's deployments."""
    match name:
        case "PutEventSelectors":
            return sight(request).sees
        case "PutRule":
            return request.get("state") != "DISABLED"
        case "SetQueueAttributes":
            given = request.get("attributes")
            return isinstance(given, dict) and bool(given) and given.keys() <= HARMLESS_ATTRIBUTES
        case "UpdateTrail":
            return not any(request.get(one) in (False, "false") for one in REACH)
    return False


def own_role(event: Event, request: dict[str, Any], watched: Watched) -> str:
    """The ARN of our role of that name; the call names no path (aws-facts 7.4)."""
    name = request.get("roleName")
    if not isinstance(name, str) or not name:
        return ""
    account = f":{event.recipient_account_id}:role/"
    mine = (one for one in sorted(watched.roles) if account in one)
    # IAM tells no names apart by capital letters.
    return next((one for one in mine if one.rpartition("/")[2].lower() == name.lower()), "")
