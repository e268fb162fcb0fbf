"""One call on its way through the simulated KMS: which key is meant, and is it allowed.

The order is AWS's as far as it can be seen from outside: the key must exist, the caller must be
allowed, the key's state must permit the operation.
"""

from collections.abc import Callable, Mapping
from typing import Any

from monitor.key import KeyRef, KeyState
from monitor.simulator.kms import states
from monitor.simulator.kms.keys import Key, Sight
from monitor.simulator.kms.policies import Question
from monitor.simulator.kms.vault import Vault, alias_arn, partition_of
from monitor.simulator.words import Caller, Refusal, Reply

CRYPTOGRAPHIC = frozenset(
    [
        "Encrypt",
        "Decrypt",
        "ReEncrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "Sign",
        "Verify",
        "GenerateMac",
        "VerifyMac",
        "GetPublicKey",
        "GenerateRandom",
    ]
)

# May be called with another account's key, named by its ARN (KMS developer guide, "Allowing users in
# other accounts to use a KMS key"). Everything else is refused there.
CROSS_ACCOUNT = CRYPTOGRAPHIC | {
    "DescribeKey",
    "CreateGrant",
    "ListGrants",
    "RetireGrant",
    "RevokeGrant",
    "GetKeyRotationStatus",
}


def is_read(operation: str) -> bool:
    """CloudTrail's `readOnly`; GetParametersForImport and all use of keys are among them."""
    return operation in CRYPTOGRAPHIC or operation.startswith(("List", "Get", "Describe"))


class Call:
    def __init__(
        self,
        vault: Vault,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
        now: float,
        lag: float,
    ) -> None:
        self.vault = vault
        self.operation = operation
        self.parameters = parameters
        self.caller = caller
        self.account = account
        self.region = region
        self.now = now
        self.lag = lag if is_read(operation) else 0.0
        self.touched: list[Key] = []
        """Keys whose state was asked about, for the CloudTrail record of a refusal."""

    def get(self, member: str, default: Any = None) -> Any:
        return self.parameters.get(member, default)

    # -- the key that is meant -----------------------------------------------------------------

    def key(
        self,
        member: str = "KeyId",
        *,
        aliases: bool = False,
        action: str = "",
        context: Mapping[str, str] | None = None,
    ) -> Key:
        """The key named by `member`, which this caller may use so, in a state that permits it."""
        key = self.find(self.parameters[member], aliases=aliases)
        self.permit(key, action=action, context=context)
        return key

    def permit(
        self, key: Key, *, action: str = "", context: Mapping[str, str] | None = None
    ) -> None:
        """Refuse unless the caller is allowed and the key's state permits the operation.

        `action` is for operations whose permission has another name (kms:ReEncryptFrom).
        """
        self.authorise(key, action or self.operation, dict(context or {}))
        self.touched.append(key)
        states.check(self.operation, key, self.sight(key).state)

    def find(self, name: str, *, aliases: bool = False) -> Key:
        """The key of an id, ARN, or (if `aliases`) alias name or alias ARN."""
        if name.startswith("arn:"):
            return self._find_by_arn(name, aliases=aliases)
        if name.startswith("alias/"):
            if not aliases:
                raise Refusal("NotFoundException", f"Invalid keyId '{name}'")
            return self._find_alias(self.account, name)
        ref = KeyRef(self.account, self.region, name, partition_of(self.region))
        return self._existing(ref)

    def _find_by_arn(self, arn: str, *, aliases: bool) -> Key:
        parts = arn.split(":", 5)
        if len(parts) != 6 or parts[2] != "kms" or "/" not in parts[5]:
            raise Refusal("InvalidArnException", f"Invalid arn {arn}")
        region, account, resource = parts[3:]
        if region != self.region or parts[1] != partition_of(self.region):
            # This very text is what AWS answers to a key ARN of another Region.
            raise Refusal("NotFoundException", f"Invalid arn {region}")
        if resource.startswith("alias/"):
            if not aliases:
                raise Refusal(
                    "InvalidArnException", "Key Aliases are not supported for this operation"
                )
            self._refuse_foreign(account, arn)
            return self._find_alias(account, resource)
        ref = KeyRef.parse(arn)
        if ref is None:
            raise Refusal("InvalidArnException", f"Invalid arn {arn}")
        self._refuse_foreign(account, arn)
        return self._existing(ref)

    def _refuse_foreign(self, account: str, arn: str) -> None:
        if account != self.account and self.operation not in CROSS_ACCOUNT:
            raise self.denied(
                arn, f"no resource-based policy allows the kms:{self.operation} action"
            )

    def _find_alias(self, account: str, name: str) -> Key:
        alias = self.vault.aliases.get((account, self.region, name))
        if alias is None:
            arn = alias_arn(account, self.region, name)
            raise Refusal("NotFoundException", f"Alias {arn} is not found.")
        return self._existing(alias.key.ref)

    def _existing(self, ref: KeyRef) -> Key:
        key = self.vault.keys.get(ref)
        sight = None if key is None else self._sight(key)
        if key is None or sight is None or sight.state is KeyState.GONE:
            if ref.account != self.account:
                # To strangers a key that is not there looks like one that they may not use.
                raise self.denied(
                    ref.arn, f"no resource-based policy allows the kms:{self.operation} action"
                )
            raise Refusal("NotFoundException", f"Key '{ref.arn}' does not exist")
        return key

    def _sight(self, key: Key) -> Sight | None:
        if self.lag:
            return key.sight(self.now - self.lag)
        return Sight(self.now, key.state, key.deletion_date, key.window)

    def sight(self, key: Key) -> Sight:
        """The key's state as this call sees it: reads lag behind, writes do not."""
        sight = self._sight(key)
        return sight if sight is not None else key.sights[0]

    # -- is it allowed -------------------------------------------------------------------------

    def authorise(self, key: Key, action: str, context: dict[str, str]) -> None:
        """Raises AccessDeniedException unless the key policy, or a grant, lets the caller."""
        question = Question(action, self.caller, key.arn, self.region)
        if key.policy.denies(question):
            raise self.denied(key.arn, "with an explicit deny in a resource-based policy", action)
        if key.policy.allows(question):
            return
        if any(each.allows(action, self.caller, context) for each in key.grants.values()):
            return
        raise self.denied(
            key.arn, f"no resource-based policy allows the kms:{action} action", action
        )

    def denied(self, resource: str, why: str, action: str = "") -> Refusal:
        """AccessDeniedException; `why` is either `with an explicit deny ...` or a reason."""
        link = "" if why.startswith(("with ", "because ")) else "because "
        return Refusal(
            "AccessDeniedException",
            f"User: {self.caller.arn or self.caller.service} is not authorized to perform: "
            f"kms:{action or self.operation} on resource: {resource} {link}{why}",
            trail_code="AccessDenied",
        )

    # -- the answer ----------------------------------------------------------------------------

    def changed(self, *keys: Key) -> None:
        for key in keys:
            self.vault.changed(key, self.now)

    def reply(
        self,
        *keys: Key,
        body: dict[str, Any] | None = None,
        response: dict[str, Any] | None = None,
        extra: dict[str, Any] | None = None,
        more: tuple[str, ...] = (),
    ) -> Reply:
        """`keys` and the ARNs in `more` are CloudTrail's resources, `response` its elements."""
        return Reply(
            body=body or {},
            response_elements=response,
            resources=(*(each.arn for each in keys), *more),
            additional_event_data=extra,
        )


Operation = Callable[[Call], Reply]


def key_element(key: Key) -> dict[str, Any]:
    """`responseElements` of most changes since December 2022, though the API answers nothing."""
    return {"keyId": key.arn}
