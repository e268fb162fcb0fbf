"""Turns every call into CloudTrail records and sends them where they belong.

A record goes into the event history of its account always, and to EventBridge while a trail of
that account logs it. A call on another account's key is recorded twice, joined by
`sharedEventID`; a refused one only for the caller (CloudTrail user guide, "Cross-account KMS").
"""

import random
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from monitor.simulator import records
from monitor.simulator.cloudtrail import CloudTrail
from monitor.simulator.hop import Hop
from monitor.simulator.identity import Identities
from monitor.simulator.records import Call
from monitor.simulator.selectors import Selectors
from monitor.simulator.words import Caller, Refusal, Reply, ServiceEvent

_KEPT = 100_000
"""Records kept at most; beyond that the older half goes, so that a long rehearsal fits in memory."""


class Recorder:
    """Everything that CloudTrail has seen, in `records`, oldest first."""

    def __init__(
        self, cloudtrail: CloudTrail, hop: Hop, identities: Identities, *, rng: random.Random
    ) -> None:
        self.records: list[dict[str, Any]] = []
        self.changed: Callable[[str], None] = lambda _arn: None
        """Called with every key that may be other than it was."""
        self._cloudtrail = cloudtrail
        self._hop = hop
        self._identities = identities
        self._rng = rng

    def take(self, call: Call, outcome: Reply | Refusal, watched: Iterable[Selectors]) -> None:
        """Record a call; `watched` are the selectors that were logging when it came in.

        They count beside those that log after it, so that StopLogging itself is still seen.
        """
        strangers = (
            []
            if isinstance(outcome, Refusal)
            else sorted({arn.split(":")[4] for arn in outcome.resources} - {call.account})
        )
        shared = self._guid() if strangers else ""
        record = records.call_record(
            call,
            outcome,
            identity=self._identities.described(call.caller),
            event_id=self._guid(),
            shared_event_id=shared,
        )
        self._keep(record, watched)
        for owner in strangers:
            copy = records.call_record(
                call,
                outcome,
                identity=records.foreign_identity(call.caller),
                event_id=self._guid(),
                recipient=owner,
                shared_event_id=shared,
            )
            self._keep(copy)
        if isinstance(outcome, Reply) and call.source == "kms.amazonaws.com":
            self._echo(call, outcome)
            if not outcome.read_only:
                for arn in keys_in(outcome.resources):
                    self.changed(arn)

    def take_service_event(self, event: ServiceEvent) -> None:
        """Record what KMS did by itself, and send KMS's own event, which needs no trail."""
        self._keep(records.service_record(event, event_id=self._guid()))
        self.changed(event.key_arn)
        native = records.native_event(event, envelope_id=self._guid())
        if native is not None:
            self._hop.set_out((event.account, event.region, "default"), native)

    def _echo(self, call: Call, reply: Reply) -> None:
        """Record the second record that two multi-Region calls make in the other Region."""
        if call.name == "ReplicateKey":
            metadata = reply.body["ReplicaKeyMetadata"]
            arn = metadata["Arn"]
            echo = Reply(response_elements={"keyMetadata": _logged(metadata)}, resources=(arn,))
            self._keep_echo(call, "CreateKey", arn.split(":")[3], echo)
        elif call.name == "UpdatePrimaryRegion" and reply.request_parameters:
            region = reply.request_parameters["primaryRegion"]
            arn = next(iter(reply.resources), "")
            moved = ":".join([*arn.split(":")[:3], region, *arn.split(":")[4:]])
            asked = reply.request_parameters | {"keyId": moved}
            self._keep_echo(call, call.name, region, Reply(request_parameters=asked))

    def _keep_echo(self, call: Call, name: str, region: str, echo: Reply) -> None:
        by_kms = Caller(
            account=call.account,
            arn="",
            service="kms.amazonaws.com",
            source_ip="kms.amazonaws.com",
            user_agent="kms.amazonaws.com",
        )
        other = msgspec.structs.replace(call, name=name, region=region, caller=by_kms)
        identity = records.user_identity(by_kms)
        self._keep(records.call_record(other, echo, identity=identity, event_id=self._guid()))

    def _keep(self, record: dict[str, Any], watched: Iterable[Selectors] = ()) -> None:
        self.records.append(record)
        if len(self.records) > _KEPT:
            del self.records[: _KEPT // 2]
        self._cloudtrail.history.add(record)
        account, region = record["recipientAccountId"], record["awsRegion"]
        eyes = (*watched, *self._cloudtrail.watching(account, region))
        if any(selectors.include(record) for selectors in eyes):
            event = records.envelope(record, envelope_id=self._guid())
            self._hop.set_out((account, region, "default"), event)

    def _guid(self) -> str:
        # From the seeded dice, so that a run can be repeated to the letter.
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))


def keys_in(arns: Iterable[str]) -> list[str]:
    """Those of keys; a call on an alias has its ARN as well."""
    return [arn for arn in arns if ":key/" in arn]


def _logged(metadata: dict[str, Any]) -> dict[str, Any]:
    """Spell key metadata as CloudTrail does, its dates as texts."""
    logged: dict[str, Any] = records.lower_camel(metadata)
    for name in ("creationDate", "deletionDate", "validTo"):
        if name in logged:
            logged[name] = records.trail_date(logged[name])
    return logged
