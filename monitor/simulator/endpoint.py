"""What happens to one AWS call: who calls, may they, who answers, what is recorded."""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from monitor.simulator import borrowed, deny, records, simulation, wire
from monitor.simulator.borrowed import Borrowed, Question
from monitor.simulator.cloudtrail import CloudTrail
from monitor.simulator.deny import DenyRule
from monitor.simulator.identity import Identities
from monitor.simulator.inline import InlinePolicies
from monitor.simulator.kms import Kms
from monitor.simulator.moves import Moves
from monitor.simulator.recorder import Recorder
from monitor.simulator.records import Call
from monitor.simulator.wire import Incoming, Outgoing, Parameters, Scope
from monitor.simulator.words import Caller, Refusal, Reply

log = logging.getLogger(__name__)

_DATA_OPERATIONS = {
    "events": {"PutEvents"},
    "sqs": {
        "SendMessage",
        "SendMessageBatch",
        "ReceiveMessage",
        "DeleteMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
    },
    "sns": {"Publish", "PublishBatch"},
    "dynamodb": {
        "BatchExecuteStatement",
        "BatchGetItem",
        "BatchWriteItem",
        "DeleteItem",
        "ExecuteStatement",
        "ExecuteTransaction",
        "GetItem",
        "PutItem",
        "Query",
        "Scan",
        "TransactGetItems",
        "TransactWriteItems",
        "UpdateItem",
    },
    "s3": {"DeleteObjects", "HeadBucket", "ListObjects", "ListObjectsV2", "ListObjectVersions"},
}
"""Data events: CloudTrail does not log them by default, and nobody selects them here."""

_READING = ("Get", "List", "Describe", "Head", "Query", "Scan", "BatchGet")
_GLOBAL = frozenset({"iam", "organizations", "s3", "sts"})
"""Services that answer in Regions that the simulator has not opened."""


class OwnService(Protocol):
    """A service that this simulator plays itself."""

    def call(
        self,
        operation: str,
        parameters: Parameters,
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        """Answer one call or raise Refusal."""


class Endpoint:
    """Answers every call to every service."""

    def __init__(
        self,
        *,
        kms: Kms,
        own: dict[str, OwnService],
        lent: Borrowed,
        moves: Moves,
        cloudtrail: CloudTrail,
        identities: Identities,
        recorder: Recorder,
        regions: Sequence[str],
        now: Callable[[], float],
    ) -> None:
        self.deny: tuple[DenyRule, ...] = ()
        self.hang: tuple[DenyRule, ...] = ()
        """Calls that are never answered."""
        self._kms = kms
        self._own: dict[str, OwnService] = {**own, "kms": kms}
        self._lent = lent
        self._moves = moves
        self._cloudtrail = cloudtrail
        self._identities = identities
        self._recorder = recorder
        self._regions = regions
        self._inline = InlinePolicies()
        self._now = now

    async def handle(self, request: Incoming) -> Outgoing:
        """Answer one request. It never raises: what goes wrong here is an InternalFailure."""
        request_id = str(uuid.uuid4())
        protocol = wire.protocol_of("", request)
        try:
            scope = wire.scope_of(request)
            protocol = wire.protocol_of(scope.service, request)
            caller = self._identities.caller(
                scope.access_key_id,
                source_ip=request.source_ip,
                user_agent=request.headers.get("user-agent", ""),
            )
            await self._hang_up(request, scope, caller)
            if scope.service in self._own:
                return self._answer_own(request, scope, caller, request_id)
            if scope.service in borrowed.SERVICES:
                return await self._answer_lent(request, scope, caller, request_id)
            refusal = Refusal(
                "UnknownOperationException",
                f"The simulator has no service {scope.service!r}; it has "
                f"{', '.join(sorted(self._own.keys() | borrowed.SERVICES))}.",
            )
        except Refusal as error:
            refusal = error
        except Exception as error:  # a bug, ours or moto's, must look like AWS's
            log.exception("a call could not be answered")
            refusal = Refusal(
                "InternalFailure", f"The simulator failed: {error!r}"[:1000], status=500
            )
        return wire.refused(refusal, protocol=protocol, request_id=request_id)

    async def _hang_up(self, request: Incoming, scope: Scope, caller: Caller) -> None:
        """Wait until the client gives up, where a rule says so; by service, as nothing is read yet."""
        if any(rule.denies(caller, scope.service, rule.action) for rule in self.hang):
            log.info("a call from %s is left without an answer", request.peer)
            await asyncio.Event().wait()

    def _answer_own(
        self, request: Incoming, scope: Scope, caller: Caller, request_id: str
    ) -> Outgoing:
        protocol = wire.protocol_of(scope.service, request)
        operation, parameters = wire.question_of(request, protocol)
        call = self._call(scope, operation, caller, request_id)
        watched = self._cloudtrail.watching(caller.account, scope.region)
        outcome: Reply | Refusal
        try:
            self._check_region(scope)
            self._check_denied(scope, operation, parameters, caller)
            outcome = self._own[scope.service].call(
                operation, parameters, caller=caller, account=caller.account, region=scope.region
            )
        except Refusal as refusal:
            outcome = refusal
        if scope.service != "kms":
            _log_parameters(outcome, operation, parameters)
        if operation not in _DATA_OPERATIONS.get(scope.service, ()):
            self._recorder.take(call, outcome, watched)
        if isinstance(outcome, Refusal):
            return wire.refused(outcome, protocol=protocol, request_id=request_id)
        return wire.answer(
            outcome.body, operation=operation, protocol=protocol, request_id=request_id
        )

    async def _answer_lent(
        self, request: Incoming, scope: Scope, caller: Caller, request_id: str
    ) -> Outgoing:
        self._check_region(scope)
        question = await self._lent.ask(request, scope.service)
        if question is None:
            raise Refusal("UnknownOperationException", f"{scope.service} has no such operation.")
        call = self._call(scope, question.operation, caller, request_id)
        watched = self._cloudtrail.watching(call.account, call.region)
        try:
            self._check_denied(scope, question.operation, question.parameters, caller)
        except Refusal as refusal:
            if _is_management(question):
                self._recorder.take(call, refusal, watched)
            raise
        if (question.service, question.operation) == ("iam", "SimulatePrincipalPolicy"):
            body = simulation.simulate(question.parameters, self.deny, account=caller.account)
            self._recorder.take(call, Reply(body=body, read_only=True), watched)
            return wire.answer(
                body, operation=question.operation, protocol="query", request_id=request_id
            )
        try:
            answer = await self._moves.answer(question, caller, scope, request_id)
            if answer is None:
                receives = question.operation == "ReceiveMessage"
                answer = await self._lent.call(request, account=caller.account, long_poll=receives)
        except NotImplementedError as error:
            raise Refusal(
                "UnsupportedOperation",
                f"The simulator's {scope.service} has no {question.operation}.",
            ) from error
        if scope.service == "iam":
            known = await self._lent.inline_policies(self._identities.accounts)
            self._inline.learn(known)
        if _is_management(question):
            self._recorder.take(call, _lent_outcome(question, answer), watched)
        answer.headers.setdefault("x-amzn-RequestId", request_id)
        return answer

    def _call(self, scope: Scope, operation: str, caller: Caller, request_id: str) -> Call:
        if scope.service == "s3":
            # CloudTrail's names of S3's bucket calls lack the API's `Configuration`.
            operation = operation.removesuffix("Configuration")
        return Call(
            source=f"{scope.service}.amazonaws.com",
            name=operation,
            account=caller.account,
            # IAM is global: its events are in us-east-1, whatever Region signed the call.
            region="us-east-1" if scope.service == "iam" else scope.region,
            caller=caller,
            request_id=request_id,
            happened_at=self._now(),
        )

    def _check_region(self, scope: Scope) -> None:
        if scope.region not in self._regions and scope.service not in _GLOBAL:
            raise Refusal(
                "UnrecognizedClientException",
                f"Region {scope.region} is not open in this simulator; open are "
                f"{', '.join(self._regions)} (--region opens more).",
            )

    def _check_denied(
        self, scope: Scope, operation: str, parameters: dict[str, Any], caller: Caller
    ) -> None:
        issued_at = self._identities.issued_at(caller)
        if not any(
            rule.denies(caller, scope.service, operation) for rule in self.deny
        ) and not self._inline.denies(caller, issued_at, scope.service, operation):
            return
        if scope.service == "kms":
            raise self._kms.authorization_error(
                operation,
                Parameters(parameters),
                caller=caller,
                account=caller.account,
                region=scope.region,
                why=deny.WHY,
            )
        code, status = _DENIED.get(scope.service, ("AccessDenied", 403))
        raise Refusal(
            code,
            f"User: {caller.arn} is not authorized to perform: {scope.service}:{operation} "
            f"{deny.WHY}",
            status=status,
            trail_code="AccessDenied",
            read_only=operation.startswith(_READING),
        )


_DENIED = {
    "cloudtrail": ("AccessDeniedException", 400),
    "events": ("AccessDeniedException", 400),
    "dynamodb": ("AccessDeniedException", 400),
    "secretsmanager": ("AccessDeniedException", 400),
    "ssm": ("AccessDeniedException", 400),
    "sqs": ("AccessDeniedException", 403),
    "sns": ("AuthorizationError", 403),
}
"""Error code and HTTP status with which a service refuses whom IAM does not allow the call."""


def _log_parameters(outcome: Reply | Refusal, operation: str, parameters: Parameters) -> None:
    """Give the outcome of a call what CloudTrail shows of it, where the service did not."""
    if isinstance(outcome, Refusal):
        outcome.read_only = operation.startswith(_READING)
        if outcome.trail_code != "AccessDenied":
            outcome.request_parameters = records.lower_camel(dict(parameters)) or None
        return
    outcome.request_parameters = records.lower_camel(dict(parameters)) or None
    if not outcome.read_only and outcome.response_elements is None:
        outcome.response_elements = records.lower_camel(outcome.body) or None


def _is_management(question: Question) -> bool:
    about_object = question.service == "s3" and "Key" in question.parameters
    data = question.operation in _DATA_OPERATIONS.get(question.service, ())
    return not data and not about_object


_HIDDEN = {"secretsmanager": ("SecretBinary", "SecretString"), "ssm": ("Value",)}
"""Values that CloudTrail never shows."""


def _lent_outcome(question: Question, answer: Outgoing) -> Reply | Refusal:
    hidden = _HIDDEN.get(question.service, ())
    shown = {name: one for name, one in question.parameters.items() if name not in hidden}
    asked: dict[str, Any] = records.lower_camel(shown)
    if question.service == "s3" and "bucket" in asked:
        asked["bucketName"] = asked.pop("bucket")
    read_only = question.operation.startswith(_READING)
    body = borrowed.outcome_of(question, answer)
    if answer.status >= 300:
        error = body.get("Error", {})
        return Refusal(
            error.get("Code", "InternalFailure"),
            error.get("Message", ""),
            status=answer.status,
            request_parameters=asked or None,
            read_only=read_only,
        )
    elements = None if read_only else records.lower_camel(body) or None
    return Reply(request_parameters=asked or None, response_elements=elements, read_only=read_only)
