"""What the parts of the simulator hand to one another: callers, replies, refusals."""

from typing import Any

import msgspec


class Caller(msgspec.Struct, frozen=True):
    """Who calls, as the access key id tells it.

    IAM users of account 111122223333 are named by the access key id itself (`admin`, `mallory`);
    AssumeRole hands out `ASIA...` ids that stand for role sessions.
    """

    account: str
    arn: str
    """`arn:aws:iam::ACCOUNT:user/NAME` or `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`."""
    user: str = ""
    role_arn: str = ""
    """For a role session: the role's own ARN, with its path."""
    session: str = ""
    access_key_id: str = ""
    source_ip: str = "127.0.0.1"
    user_agent: str = ""
    service: str = ""
    """An AWS service that calls by itself, such as `rds.amazonaws.com`."""


class Reply(msgspec.Struct):
    """What an allowed call answers, and what CloudTrail writes about it."""

    body: dict[str, Any] = {}
    """The wire JSON of the answer, as the AWS JSON 1.1 protocol has it (times: epoch seconds)."""
    read_only: bool = False
    request_parameters: dict[str, Any] | None = None
    """As CloudTrail logs them (lowerCamelCase members, no secrets), or null."""
    response_elements: dict[str, Any] | None = None
    resources: tuple[str, ...] = ()
    """ARNs for CloudTrail's `resources`."""
    additional_event_data: dict[str, Any] | None = None


class Refusal(Exception):
    """An AWS error as it stands on the wire."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        trail_code: str = "",
        resources: tuple[str, ...] = (),
        request_parameters: dict[str, Any] | None = None,
        read_only: bool = False,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.trail_code = trail_code or code
        """`errorCode` in CloudTrail differs for some: AccessDenied for AccessDeniedException."""
        self.resources = resources
        self.request_parameters = request_parameters
        self.read_only = read_only


class ServiceEvent(msgspec.Struct, frozen=True):
    """Something that KMS did by itself: DeleteKey, DeleteExpiredKeyMaterial, RotateKey."""

    event_name: str
    account: str
    region: str
    key_arn: str
    happened_at: float
    response_elements: dict[str, Any] | None = None
    service_event_details: dict[str, Any] | None = None
