"""A KMS of a few lines with the interface of the real one, for tests of everything around it."""

import uuid
from typing import Any

from monitor.simulator.words import Caller, Refusal, Reply, ServiceEvent


class FakeKms:
    """Keys that can be made, shown, disabled and enabled, per account and Region."""

    def __init__(self) -> None:
        self.consistency_seconds = 0.0
        self.quota_scale: float | None = None
        self.states: dict[str, str] = {}
        self.service_events: list[ServiceEvent] = []

    def call(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        del caller
        if operation == "CreateKey":
            arn = f"arn:aws:kms:{region}:{account}:key/{uuid.uuid4()}"
            self.states[arn] = "Enabled"
            return Reply(body={"KeyMetadata": self._metadata(arn)}, resources=(arn,))
        arn = self._arn(parameters["KeyId"], account, region)
        if arn not in self.states:
            raise Refusal("NotFoundException", f"Key '{arn}' does not exist")
        asked = {"keyId": parameters["KeyId"]}
        match operation:
            case "DescribeKey":
                body = {"KeyMetadata": self._metadata(arn)}
                return Reply(body=body, read_only=True, request_parameters=asked, resources=(arn,))
            case "DisableKey" | "EnableKey":
                self.states[arn] = "Disabled" if operation == "DisableKey" else "Enabled"
                return Reply(
                    request_parameters=asked, response_elements={"keyId": arn}, resources=(arn,)
                )
            case _:
                raise Refusal("UnknownOperationException", operation)

    def authorization_error(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
        why: str,
    ) -> Refusal:
        del parameters
        resource = f"arn:aws:kms:{region}:{account}:key/*"
        return Refusal(
            "AccessDeniedException",
            f"User: {caller.arn} is not authorized to perform: kms:{operation} on resource: "
            f"{resource} {why}",
            trail_code="AccessDenied",
        )

    def tick(self) -> list[ServiceEvent]:
        events, self.service_events = self.service_events, []
        return events

    def state_of(self, arn: str) -> str:
        return self.states[arn]

    def force_state(self, arn: str, state: str) -> None:
        self.states[arn] = state

    def _arn(self, key_id: str, account: str, region: str) -> str:
        whole = key_id.startswith("arn:")
        return key_id if whole else f"arn:aws:kms:{region}:{account}:key/{key_id}"

    def _metadata(self, arn: str) -> dict[str, Any]:
        return {"KeyId": arn.rpartition("/")[2], "Arn": arn, "KeyState": self.states[arn]}
