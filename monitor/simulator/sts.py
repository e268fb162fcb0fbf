"""STS: AssumeRole, GetCallerIdentity and GetSessionToken.

The answers are dicts of the API's members, in their order; `wire` turns them into the Query
protocol's XML. CloudTrail calls all three read-only (STS API reference; CloudTrail user guide,
"Logging IAM and AWS STS API calls").
"""

from collections.abc import Mapping
from typing import Any

from monitor.simulator import records
from monitor.simulator.identity import Identities, Session
from monitor.simulator.words import Caller, Refusal, Reply


class Sts:
    """The calls of STS that this simulator answers."""

    def __init__(self, identities: Identities) -> None:
        self._identities = identities

    def call(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        """Answer one call or raise Refusal."""
        body: dict[str, Any]
        match operation:
            case "AssumeRole":
                return self._assume_role(parameters, caller)
            case "GetCallerIdentity":
                body = {
                    "Arn": caller.arn,
                    "UserId": records.principal_id(caller),
                    "Account": caller.account,
                }
                return Reply(body=body, read_only=True)
            case "GetSessionToken":
                session = self._identities.session_token(
                    caller, int(parameters.get("DurationSeconds", 43200))
                )
                body = {"Credentials": _credentials(session)}
                return Reply(body=body, read_only=True, response_elements=_logged(body, session))
            case _:
                raise Refusal("InvalidAction", f"Could not find operation {operation}")

    def _assume_role(self, parameters: Mapping[str, Any], caller: Caller) -> Reply:
        for name in ("RoleArn", "RoleSessionName"):
            if name not in parameters:
                raise Refusal(
                    "ValidationError",
                    f"1 validation error detected: Value null at '{name[0].lower() + name[1:]}' "
                    "failed to satisfy constraint: Member must not be null",
                )
        role_arn = parameters["RoleArn"]
        session = self._identities.assume_role(
            caller,
            role_arn=role_arn,
            session_name=parameters["RoleSessionName"],
            duration=int(parameters.get("DurationSeconds", 3600)),
            external_id=parameters.get("ExternalId", ""),
        )
        assumed = {
            "AssumedRoleId": records.principal_id(session.caller),
            "Arn": session.caller.arn,
        }
        body = {"Credentials": _credentials(session), "AssumedRoleUser": assumed}
        return Reply(
            body=body,
            read_only=True,
            response_elements=_logged(body, session),
            resources=(role_arn,),
        )


def _credentials(session: Session) -> dict[str, Any]:
    return {
        "AccessKeyId": session.caller.access_key_id,
        "SecretAccessKey": session.secret,
        "SessionToken": session.token,
        "Expiration": records.iso(session.expires_at),
    }


def _logged(body: dict[str, Any], session: Session) -> dict[str, Any]:
    """CloudTrail shows the credentials without the secret, their end as a text."""
    logged: dict[str, Any] = records.lower_camel(body)
    del logged["credentials"]["secretAccessKey"]
    logged["credentials"]["expiration"] = records.trail_date(session.expires_at)
    return logged
