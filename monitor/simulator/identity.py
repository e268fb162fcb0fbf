"""Who calls: access key ids, and the sessions that STS hands out.

Any word that does not begin with `ASIA` is an IAM user of the first account, whatever the secret
(`root` is that account's root user). `ASIA...` ids come from AssumeRole or GetSessionToken and
end with their duration. Signatures are not checked.
"""

import base64
import random
import re
import string
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from monitor.simulator import records
from monitor.simulator.words import Caller, Refusal

_ROLE_ARN = re.compile(r"arn:(aws[\w-]*):iam::(\d{12}):role/((?:[\w+=,.@-]+/)*[\w+=,.@-]+)")
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_CHAIN_LIMIT = 3600
"""A session that was assumed from a session lives an hour at most (IAM user guide, role chaining)."""


class Session(msgspec.Struct, frozen=True):
    """Temporary credentials: whom they stand for, from when until when (epoch seconds)."""

    caller: Caller
    created_at: float
    expires_at: float
    secret: str
    token: str


class Identities:
    """The callers that this simulator knows, and the credentials that it has handed out."""

    def __init__(
        self, accounts: Sequence[str], *, now: Callable[[], float], rng: random.Random
    ) -> None:
        self.accounts = tuple(accounts)
        self.external_id = ""
        """If set, AssumeRole into another account must bring this ExternalId."""
        self.untrusting: frozenset[str] = frozenset()
        """Accounts whose roles nobody may assume."""
        self._now = now
        self._rng = rng
        self._sessions: dict[str, Session] = {}

    def caller(self, access_key_id: str, *, source_ip: str, user_agent: str) -> Caller:
        """Tell whose access key this is; raises Refusal for unknown or expired sessions."""
        if access_key_id.startswith("ASIA"):
            session = self._sessions.get(access_key_id)
            if session is None:
                raise Refusal(
                    "UnrecognizedClientException",
                    "The security token included in the request is invalid.",
                )
            if session.expires_at <= self._now():
                raise Refusal(
                    "ExpiredTokenException",
                    "The security token included in the request is expired",
                )
            return msgspec.structs.replace(
                session.caller, source_ip=source_ip, user_agent=user_agent
            )
        home = self.accounts[0]
        name = "root" if access_key_id == "root" else f"user/{access_key_id}"
        return Caller(
            account=home,
            arn=f"arn:aws:iam::{home}:{name}",
            user="" if access_key_id == "root" else access_key_id,
            access_key_id=access_key_id,
            source_ip=source_ip,
            user_agent=user_agent,
        )

    def expire_sessions(self) -> None:
        """Let every session that was handed out so far end now."""
        now = self._now()
        for key_id, session in self._sessions.items():
            self._sessions[key_id] = msgspec.structs.replace(session, expires_at=now)

    def issued_at(self, caller: Caller) -> float:
        """When the caller's session was handed out; 0 for an access key, which has no such moment."""
        session = self._sessions.get(caller.access_key_id)
        return session.created_at if session else 0.0

    def described(self, caller: Caller) -> dict[str, Any]:
        """Build CloudTrail's `userIdentity` of a caller."""
        return records.user_identity(caller, created_at=self.issued_at(caller))

    def assume_role(
        self,
        caller: Caller,
        *,
        role_arn: str,
        session_name: str,
        duration: int = 3600,
        external_id: str = "",
    ) -> Session:
        """Hand out a role session; the role need not exist, its account must be one of ours."""
        found = _ROLE_ARN.fullmatch(role_arn)
        if found is None:
            raise _invalid(f"{role_arn} is invalid")
        if _SESSION_NAME.fullmatch(session_name) is None:
            raise _invalid(
                f"1 validation error detected: Value '{session_name}' at 'roleSessionName' failed "
                "to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
            )
        _check_duration(duration, 43200)
        if caller.role_arn and duration > _CHAIN_LIMIT:
            raise _invalid(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed "
                "by role chaining"
            )
        account = found[2]
        stranger = account != caller.account
        refused = account not in self.accounts or account in self.untrusting
        if refused or (stranger and self.external_id and external_id != self.external_id):
            raise Refusal(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: "
                f"{role_arn}",
                status=403,
            )
        role_name = found[3].rpartition("/")[2]
        stands_for = Caller(
            account=account,
            arn=f"arn:{found[1]}:sts::{account}:assumed-role/{role_name}/{session_name}",
            role_arn=role_arn,
            session=session_name,
        )
        return self._hand_out(stands_for, duration)

    def session_token(self, caller: Caller, duration: int) -> Session:
        """Hand out temporary credentials of the calling user."""
        if caller.role_arn:
            raise Refusal(
                "AccessDenied", "Cannot call GetSessionToken with session credentials", status=403
            )
        _check_duration(duration, 129600)
        return self._hand_out(caller, duration)

    def _hand_out(self, stands_for: Caller, duration: int) -> Session:
        alphabet = string.ascii_uppercase + string.digits
        key_id = "ASIA" + "".join(self._rng.choices(alphabet, k=16))
        created_at = self._now()
        session = Session(
            caller=msgspec.structs.replace(stands_for, access_key_id=key_id),
            created_at=created_at,
            expires_at=created_at + duration,
            secret=base64.b64encode(self._rng.randbytes(30)).decode(),
            token=base64.b64encode(self._rng.randbytes(96)).decode(),
        )
        self._sessions[key_id] = session
        return session


def _check_duration(seconds: int, most: int) -> None:
    if not 900 <= seconds <= most:
        raise _invalid(
            f"1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to "
            f"satisfy constraint: Member must have a value between 900 and {most}"
        )


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationError", message)
