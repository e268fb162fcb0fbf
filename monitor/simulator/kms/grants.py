"""Grants as data: who may do what with one key, besides its policy."""

from typing import Any

import msgspec

from monitor.simulator.kms.policies import principals_of
from monitor.simulator.words import Caller


class Grant(msgspec.Struct, frozen=True):
    grant_id: str
    token: str
    created_at: float
    issuing_account: str
    """`arn:aws:iam::ACCOUNT:root` of the account that made it."""
    operations: tuple[str, ...]
    name: str = ""
    grantee: str = ""
    grantee_service: str = ""
    retirer: str = ""
    retirer_service: str = ""
    constraints: dict[str, Any] = {}

    def allows(self, operation: str, caller: Caller, context: dict[str, str]) -> bool:
        """Whether it lets `caller` do `operation` with this encryption context."""
        mine = self.grantee in principals_of(caller) or (
            bool(caller.service) and self.grantee_service == caller.service
        )
        return mine and operation in self.operations and self._fits(context)

    def retirable_by(self, caller: Caller) -> bool:
        """Its retiring principal, or its grantee when RetireGrant is among its operations."""
        if self.retirer in principals_of(caller):
            return True
        if caller.service and self.retirer_service == caller.service:
            return True
        return self.allows(
            "RetireGrant", caller, self.constraints.get("EncryptionContextEquals", {})
        )

    def _fits(self, context: dict[str, str]) -> bool:
        subset = self.constraints.get("EncryptionContextSubset")
        equals = self.constraints.get("EncryptionContextEquals")
        if subset is not None and not subset.items() <= context.items():
            return False
        return equals is None or equals == context

    def entry(self, key_arn: str) -> dict[str, Any]:
        """The GrantListEntry of ListGrants and ListRetirableGrants."""
        entry = {
            "KeyId": key_arn,
            "GrantId": self.grant_id,
            "Name": self.name,
            "CreationDate": self.created_at,
            "GranteePrincipal": self.grantee,
            "GranteeServicePrincipal": self.grantee_service,
            "RetiringPrincipal": self.retirer,
            "RetiringServicePrincipal": self.retirer_service,
            "IssuingAccount": self.issuing_account,
            "Operations": list(self.operations),
            "Constraints": self.constraints,
        }
        return {name: value for name, value in entry.items() if value}
