"""Tells by AWS Security Hub: a finding in the account and Region of the key, for each incident.

BatchImportFindings may only be called by the finding's own account, so it is called through the role by
which the account is guarded. Further stages update the same finding; the end of the incident
archives it. Security Hub has to be on there.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pydantic import BaseModel

from monitor.channel import Channel, ChannelOptions
from monitor.decision import Decision
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.telling import asff, headline

MOST: Final = 100
"""Findings of one BatchImportFindings."""
PASSING: Final = frozenset({"InternalException", "InternalFailure", "LimitExceededException"})


class SecurityHubOptions(ChannelOptions):
    """Settings of the responder `security_hub`."""


class SecurityHub(Channel):
    name: ClassVar[str] = "security_hub"
    Options: ClassVar[type[BaseModel]] = SecurityHubOptions

    async def tell(self, decision: Decision) -> str:
        return await self.send([decision])

    async def tell_many(self, decisions: list[Decision]) -> str:
        return await self.send(decisions)

    async def send(self, decisions: Sequence[Decision]) -> str:
        """All of them, by account and Region. One that fails fails all: they are imported again."""
        places: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        now = self.services.clock.now()
        for one in decisions:
            found = asff.finding_of(one, self.services.environment, now)
            # Of one incident the last counts: an Id may stand in a batch once.
            places.setdefault(asff.place_of(one.finding), {})[found["Id"]] = found
        count = 0
        for (account, region), by_id in places.items():
            findings = list(by_id.values())
            for start in range(0, len(findings), MOST):
                count += await self.import_some(account, region, findings[start : start + MOST])
        return f"{count} imported"

    async def import_some(self, account: str, region: str, findings: list[dict[str, Any]]) -> int:
        aws = self.services.aws
        client = await aws.client("securityhub", region, account)
        async with aws.calling("securityhub", "BatchImportFindings"):
            answer = await client.batch_import_findings(Findings=findings)
        if answer.get("FailedCount"):
            raise refusal(answer.get("FailedFindings", []))
        return len(findings)


def refusal(failed: list[dict[str, str]]) -> WorthRetrying | NotWorthRetrying:
    first = failed[0] if failed else {}
    code = headline.clean(str(first.get("ErrorCode", "other")), 64)
    words = headline.clean(str(first.get("ErrorMessage", "")), 200)
    text = f"securityhub:BatchImportFindings: {len(failed)} refused: {code}: {words}"
    kind = WorthRetrying if code in PASSING else NotWorthRetrying
    return kind(text, code=code)
