"""One CloudTrail record, typed.

Field names and their traps: AWS CloudTrail user guide, "Record contents" and "userIdentity
element". Every field but four may be missing or null; unknown ones are skipped; nested objects
stay undecoded (`msgspec.Raw`) until somebody asks.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final, Generic, TypeVar

import msgspec

from monitor.decoding import explain, part, with_whole_characters
from monitor.errors import Unreadable
from monitor.finding import Actor
from monitor.key import KeyRef, partition_of

T = TypeVar("T")
FAMILIAR = 4096
"""Bytes of a member, up to which what it says is kept in mind. Few are larger than 1 KiB."""
NULL = msgspec.Raw(b"null")
KMS: Final = "kms.amazonaws.com"
OWN: Final = "kms-monitor"
"""The eventSource of events that the daemon makes itself. No message from outside can have it."""


class once(Generic[T]):  # noqa: N801 -- it reads as `property` does
    """A property that is worked out once for the event that was asked last.

    Many detectors look at one event, one after the other. The event itself has no room for it:
    events are decoded in great numbers, and few of them are looked at.
    """

    def __init__(self, work: Callable[[Any], T]) -> None:
        self.work = work
        self.__doc__ = work.__doc__
        self.last: tuple[object, Any] = (None, None)

    def __get__(self, event: Any, _: type | None = None) -> T:
        last, value = self.last  # one tuple, so that another thread cannot come in between
        if last is not event:
            value = self.work(event)
            self.last = (event, value)
        known: T = value
        return known


class Attributes(msgspec.Struct, frozen=True, rename="camel"):
    mfa_authenticated: str | None = None
    """The *string* "true" or "false"."""


class SessionIssuer(msgspec.Struct, frozen=True, rename="camel"):
    type: str | None = None
    arn: str | None = None
    account_id: str | None = None
    user_name: str | None = None


class SessionContext(msgspec.Struct, frozen=True, rename="camel"):
    session_issuer: SessionIssuer | None = None
    attributes: Attributes | None = None


class UserIdentity(msgspec.Struct, frozen=True, rename="camel"):
    """Who called. KMS service events have no `type`; an AWS service often has only two members."""

    type: str | None = None
    principal_id: str | None = None
    arn: str | None = None
    account_id: str | None = None
    user_name: str | None = None
    invoked_by: str | None = None
    session_context: SessionContext | None = None


class Resource(msgspec.Struct, frozen=True):
    ARN: str | None = None
    account_id: str | None = msgspec.field(default=None, name="accountId")


class Event(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One CloudTrail record (event versions 1.x).

    The members stand in the order in which CloudTrail writes them, which makes decoding faster.
    Only what decides whether anybody cares is decoded at once, so that a surprise in any other
    member never makes a record unreadable.
    """

    event_version: str | None = None
    user_identity: msgspec.Raw = NULL
    event_time: str = ""
    event_source: str = ""
    event_name: str = ""
    aws_region: str | None = None
    source_ip_address: msgspec.Raw = msgspec.field(default=NULL, name="sourceIPAddress")
    user_agent: msgspec.Raw = NULL
    error_code: str | None = None
    error_message: str | None = None
    request_parameters: msgspec.Raw = NULL
    response_elements: msgspec.Raw = NULL
    additional_event_data: msgspec.Raw = NULL
    event_id: str = msgspec.field(default="", name="eventID")
    resources: msgspec.Raw = NULL
    recipient_account_id: str | None = None
    shared_event_id: str | None = msgspec.field(default=None, name="sharedEventID")
    service_event_details: msgspec.Raw = NULL
    event_category: str | None = None

    @property
    def failed(self) -> bool:
        """An attempt, not a change: `errorCode` is there (aws-facts 2.4)."""
        return bool(self.error_code)

    @property
    def network_copy(self) -> bool:
        """A VPC endpoint's own record of a call (`AwsVpceEvents`), beside the one of the service."""
        return self.event_category == "NetworkActivity"

    @property
    def version(self) -> tuple[int, int] | None:
        """`eventVersion` as a pair of integers; None where it is missing or no version."""
        return parse_version(self.event_version or "")

    @once
    def time(self) -> float:
        """`eventTime` as epoch seconds; it has a resolution of one second."""
        return parse_time(self.event_time)

    @once
    def actor(self) -> Actor:
        return actor_of(self)

    @once
    def key(self) -> KeyRef | None:
        return locate_key(self)

    def request(self) -> dict[str, Any]:
        """`requestParameters`; empty where they are null, as they are for many denied calls."""
        return members(self.request_parameters)

    def response(self) -> dict[str, Any]:
        """`responseElements`; empty where they are null."""
        return members(self.response_elements)

    def additional(self) -> dict[str, Any]:
        """`additionalEventData`; empty where there is none."""
        return members(self.additional_event_data)

    def service_details(self) -> dict[str, Any]:
        """`serviceEventDetails` of an AwsServiceEvent; empty otherwise."""
        return members(self.service_event_details)


class Wanted(msgspec.Struct, frozen=True):
    """Which events anybody looks at."""

    calls: frozenset[tuple[str, str]] = frozenset()
    """Pairs of eventSource and eventName, whatever became of the call."""
    failures: frozenset[tuple[str, str, str]] = frozenset()
    """Only where the call failed so: eventSource, eventName and errorCode.

    A key that is used is used thousands of times a minute; only that it no longer can be is news.
    """

    def takes(self, event: Event) -> bool:
        name, code = (event.event_source, event.event_name), event.error_code
        looked_at = name in self.calls or (bool(code) and (*name, code) in self.failures)
        return looked_at and not event.network_copy

    def asks_for(self, source: str, name: str) -> bool:
        """Whether any event of this name is looked at, were it to come to the worst."""
        return (source, name) in self.calls


def read_record(text: str | bytes) -> Event:
    """One bare CloudTrail record, as LookupEvents answers it. Raises `Unreadable`."""
    try:
        raw = msgspec.json.decode(with_whole_characters(text), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error
    return checked(part(raw, Event, Event()))


def checked(event: Event) -> Event:
    """The event, if it has what every event must that is looked at: an id and a time."""
    if not event.event_id:
        raise Unreadable("missing_field", "a CloudTrail record without eventID")
    try:
        _ = event.time
    except (ValueError, OverflowError) as error:
        raise Unreadable("bad_time", "eventTime is not a time of ISO 8601") from error
    return event


def members(raw: msgspec.Raw) -> dict[str, Any]:
    """A nested object decoded; anything that is not an object counts as empty."""
    return part(raw, dict[str, Any], {})


@lru_cache(maxsize=64)
def parse_version(text: str) -> tuple[int, int] | None:
    """`1.10` -> (1, 10): a pair of integers, for as a fraction 1.10 would be older than 1.9."""
    major, _, minor = text.partition(".")
    # isascii: int() would take the digits of other scripts, and digits beyond reason.
    if not (text.isascii() and major.isdigit() and minor.isdigit() and len(text) <= 12):
        return None
    return int(major), int(minor)


def parse_time(text: str) -> float:
    """ISO-8601 UTC as CloudTrail writes it -> epoch seconds. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    # CloudTrail is of 2013. Beyond some years no calendar could be asked about the seconds around.
    if not 2000 <= moment.year < 3000:
        raise ValueError("not a time of this age")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def actor_of(event: Event) -> Actor:
    """The caller, out of all the shapes that `userIdentity` has (aws-facts 1.3)."""
    identity = identity_in(event.user_identity)
    context = identity.session_context or SessionContext()
    issuer = context.session_issuer or SessionIssuer()
    attributes = context.attributes or Attributes()
    arn = identity.arn or ""
    return Actor(
        type=identity.type or "",
        arn=arn,
        account=identity.account_id or "",
        issuer_arn=issuer.arn or "",
        session=arn.rpartition("/")[2] if ":assumed-role/" in arn else "",
        invoked_by=identity.invoked_by or "",
        source_ip=part(event.source_ip_address, str, ""),
        user_agent=part(event.user_agent, str, ""),
        mfa=attributes.mfa_authenticated == "true",
    )


def identity_in(raw: msgspec.Raw) -> UserIdentity:
    """The same callers come again and again: what was decoded once need not be again."""
    text = bytes(raw)
    return known_identity(text) if len(text) <= FAMILIAR else read_identity(text)


def read_identity(text: bytes) -> UserIdentity:
    return part(msgspec.Raw(text), UserIdentity, UserIdentity())


known_identity = lru_cache(maxsize=2048)(read_identity)


def locate_key(event: Event) -> KeyRef | None:
    """The key that the record is about, by the order of aws-facts 2.1; None if it does not say.

    The ARN is the truth about account and Region: AWS's own samples disagree with `awsRegion`, and
    of a call across accounts both accounts get a record.
    """
    resources = bytes(event.resources)
    listed = known_key if len(resources) <= FAMILIAR else key_listed
    if key := listed(resources):
        return key
    named = [event.response().get("keyId"), event.service_details().get("keyId")]
    request = event.request()
    asked = [request.get("keyId"), request.get("targetKeyId")]
    texts = [text for text in (*named, *asked) if isinstance(text, str)]
    for read in (KeyRef.parse, partial(key_from_parts, event)):
        for text in texts:
            if key := read(text):
                return key
    return KeyRef.search(event.error_message or "")


def key_listed(resources: bytes) -> KeyRef | None:
    """The first key in `resources`."""
    found = part(msgspec.Raw(resources), list[Resource], [])
    return next((key for one in found if one.ARN and (key := KeyRef.parse(one.ARN))), None)


known_key = lru_cache(maxsize=2048)(key_listed)


def key_from_parts(event: Event, key_id: str) -> KeyRef | None:
    """A bare key id, completed by the record's Region and account."""
    account, region = event.recipient_account_id or "", event.aws_region or ""
    return KeyRef.parse(f"arn:{partition_of(region)}:kms:{region}:{account}:key/{key_id}")
