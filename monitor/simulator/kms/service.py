"""The simulated KMS as a whole: one call in, one reply or refusal out; and time that passes."""

import random
from collections.abc import Callable
from typing import Any

from monitor.key import KeyRef, KeyState
from monitor.simulator.kms import (
    access,
    aliases,
    ciphers,
    imports,
    lifecycle,
    replicas,
    rotation,
    signatures,
    stores,
    tags,
    wire,
)
from monitor.simulator.kms.ageing import age
from monitor.simulator.kms.call import CRYPTOGRAPHIC, Call, is_read
from monitor.simulator.kms.keys import DAY, Key
from monitor.simulator.kms.policies import managed_policy
from monitor.simulator.kms.quotas import Quotas
from monitor.simulator.kms.vault import Alias, Vault, alias_arn, new_material, partition_of
from monitor.simulator.words import Caller, Refusal, Reply, ServiceEvent

OPERATIONS = {
    **lifecycle.OPERATIONS,
    **rotation.OPERATIONS,
    **access.OPERATIONS,
    **aliases.OPERATIONS,
    **tags.OPERATIONS,
    **imports.OPERATIONS,
    **replicas.OPERATIONS,
    **ciphers.OPERATIONS,
    **signatures.OPERATIONS,
    **stores.OPERATIONS,
}

_STATE_ERRORS = {"DisabledException", "KMSInvalidStateException", "KeyUnavailableException"}
_FORCIBLE_OVERLAYS = {
    KeyState.CREATING,
    KeyState.UPDATING,
    KeyState.UNAVAILABLE,
    KeyState.PENDING_IMPORT,
}


class Kms:
    """A strict, in-memory AWS KMS of any number of accounts and Regions.

    `consistency_seconds`: reads (Describe*, List*, Get*, and the state check of every use of a key)
    see a key's existence and state as they were that many seconds ago; writes judge the true state.
    A key is thus NotFound to reads for so long after its creation, which is what AWS does too.
    Only existence and state lag: policies, tags, aliases and grants are seen at once.

    `quota_scale`: None for no throttling, 1.0 for AWS's request quotas, 0.1 for a tenth of them.
    """

    def __init__(
        self,
        *,
        now: Callable[[], float],
        rng: random.Random | None = None,
        consistency_seconds: float = 0.0,
        quota_scale: float | None = None,
    ) -> None:
        self._now = now
        self._vault = Vault(rng or random.SystemRandom())
        self._quotas = Quotas()
        self.consistency_seconds = consistency_seconds
        self.quota_scale = quota_scale

    def call(
        self,
        operation: str,
        parameters: dict[str, Any],
        *,
        caller: Caller,
        account: str,
        region: str,
    ) -> Reply:
        """One API call by `caller` of `account` at the endpoint of `region`.

        Raises Refusal, which holds the wire error and what CloudTrail shows of it.
        """
        now = self._now()
        age(self._vault, now, finish=False)
        perform = OPERATIONS.get(operation)
        if perform is None:
            raise Refusal("UnknownOperationException", f"Unknown operation {operation}")
        call: Call | None = None
        try:
            self._throttle(operation, parameters, account, region, now)
            accepted = wire.accept(operation, parameters)
            call = Call(
                self._vault,
                operation,
                accepted,
                caller=caller,
                account=account,
                region=region,
                now=now,
                lag=self.consistency_seconds,
            )
            reply = perform(call)
        except Refusal as refusal:
            refusal.read_only = is_read(operation)
            if call is not None:
                _show_failed_use(refusal, call)
            raise
        reply.read_only = is_read(operation)
        if reply.request_parameters is None:
            reply.request_parameters = wire.logged_request(operation, accepted)
        elif not reply.request_parameters:
            reply.request_parameters = None
        return reply

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
        """The AccessDeniedException of a call that IAM refuses before KMS looks at it.

        `why` is `no identity-based policy allows the kms:X action`, or
        `with an explicit deny in a service control policy`.
        """
        call = Call(
            self._vault,
            operation,
            {},
            caller=caller,
            account=account,
            region=region,
            now=self._now(),
            lag=0.0,
        )
        refusal = call.denied(self._resource(parameters, account, region), why)
        refusal.read_only = is_read(operation)
        return refusal

    def _resource(self, parameters: Any, account: str, region: str) -> str:
        """The ARN of the key that is meant, as well as it can be told; `*` if none is named."""
        given = parameters if isinstance(parameters, dict) else {}
        for member in ("KeyId", "TargetKeyId", "SourceKeyId", "DestinationKeyId", "AliasName"):
            name = given.get(member)
            if not isinstance(name, str) or not name:
                continue
            if name.startswith("arn:"):
                return name
            if name.startswith("alias/"):
                alias = self._vault.aliases.get((account, region, name))
                return alias.key.arn if alias else alias_arn(account, region, name)
            return KeyRef(account, region, name, partition_of(region)).arn
        return "*"

    def tick(self) -> list[ServiceEvent]:
        """Let time pass, and tell what KMS did by itself since the last tick.

        Calls let time pass too, but what happens then is told here. Creating, Updating and
        on-demand rotations end at the first tick, or at the first call at a later moment.
        """
        age(self._vault, self._now(), finish=True)
        events, self._vault.events = self._vault.events, []
        return events

    def _throttle(
        self, operation: str, parameters: Any, account: str, region: str, now: float
    ) -> None:
        scale = self.quota_scale
        if scale is None:
            return
        self._quotas.take(account, region, operation, scale=scale, now=now)
        given = parameters if isinstance(parameters, dict) else {}
        # These two are charged in the other Region as well (developer guide, request quotas).
        if operation == "ReplicateKey" and isinstance(given.get("ReplicaRegion"), str):
            other = given["ReplicaRegion"]
            self._quotas.take(account, other, "CreateKey", scale=scale, now=now)
        if operation == "UpdatePrimaryRegion" and isinstance(given.get("PrimaryRegion"), str):
            other = given["PrimaryRegion"]
            self._quotas.take(account, other, operation, scale=scale, now=now)

    # -- for AWS Config, which sees every key -----------------------------------------------------

    def keys_of(self, account: str, region: str) -> list[str]:
        """The ARNs of all keys that are there, AWS's own included, in the order of their creation."""
        found = [key for ref, key in self._vault.keys.items() if not key.gone]
        return [key.arn for key in found if (key.ref.account, key.ref.region) == (account, region)]

    def described(self, arn: str) -> tuple[dict[str, Any], bool, dict[str, str]] | None:
        """KeyMetadata, whether the key rotates, and its tags, as they truly are; None if it is gone."""
        ref = KeyRef.parse(arn)
        key = self._vault.keys.get(ref) if ref is not None else None
        now = self._now()
        age(self._vault, now, finish=False)
        if key is None or key.gone:
            return None
        account, region = key.ref.account, key.ref.region
        call = Call(
            self._vault,
            "CreateKey",  # no call that reads: it sees no old state
            {},
            caller=Caller(account=account, arn="", service="config.amazonaws.com"),
            account=account,
            region=region,
            now=now,
            lag=0.0,
        )
        rotates = key.rotation.period_days is not None
        return lifecycle.metadata(call, key), rotates, dict(key.tags)

    # -- for tests and the demo ----------------------------------------------------------------

    @property
    def fresh_wrapping_keys(self) -> bool:
        """Whether GetParametersForImport makes an RSA key each time, as AWS does; off, for speed."""
        return self._vault.fresh_wrapping_keys

    @fresh_wrapping_keys.setter
    def fresh_wrapping_keys(self, wanted: bool) -> None:
        self._vault.fresh_wrapping_keys = wanted

    def state_of(self, arn: str) -> str:
        """The true state, whatever lag reads have; `Gone` when the key does not exist."""
        ref = KeyRef.parse(arn)
        key = self._vault.keys.get(ref) if ref is not None else None
        if key is None:
            return str(KeyState.GONE)
        age(self._vault, self._now(), finish=False)
        return str(key.state)

    def policy_of(self, arn: str) -> str:
        """The true policy, whatever lag reads have; empty when the key does not exist."""
        ref = KeyRef.parse(arn)
        key = self._vault.keys.get(ref) if ref is not None else None
        return key.policy.text if key is not None else ""

    def force_state(self, arn: str, state: str) -> None:
        """Put a key into a state by magic; Creating, Updating and the like stay until changed.

        Raises KeyError for a key that does not exist, ValueError if the key cannot be so: Enabled
        without its material or its store, say.
        """
        ref = KeyRef.parse(arn)
        key = self._vault.keys.get(ref) if ref is not None else None
        if key is None or key.gone:
            raise KeyError(arn)
        now = self._now()
        wanted = KeyState(state)
        if wanted is KeyState.PENDING_IMPORT and key.external:
            for material in key.materials:
                material.secret = material.expires_at = None
            wanted_overlay = None
        else:
            wanted_overlay = wanted if wanted in _FORCIBLE_OVERLAYS else None
        key.overlay, key.overlay_since = wanted_overlay, None
        key.window = 30 if wanted.pending_deletion else None
        key.deletion_date = now + 30 * DAY if wanted is KeyState.PENDING_DELETION else None
        key.enabled = wanted is not KeyState.DISABLED
        key.gone = wanted is KeyState.GONE
        if key.gone:
            self._vault.forget(key)
        self._vault.changed(key, now)
        if key.state is not wanted:
            raise ValueError(f"{arn} is {key.state} and cannot be forced to be {wanted}")

    def make_managed_key(self, service: str, *, account: str, region: str) -> str:
        """The ARN of the AWS managed key `alias/aws/SERVICE`, made as the service would make it."""
        name = f"alias/aws/{service}"
        alias = self._vault.aliases.get((account, region, name))
        if alias is not None:
            return alias.key.arn
        now = self._now()
        ref = self._vault.new_key_ref(account, region, multi_region=False)
        key = Key(
            ref,
            now,
            managed_policy(service, account, region, ref.partition),
            manager="AWS",
            description=f"Default key that protects my {service} data when no other key is defined",
        )
        # "KMS always rotates the key material in AWS managed keys every year."
        key.rotation.period_days = 365
        key.rotation.next_at = now + 365 * DAY
        key.materials.append(new_material(key, self._vault.rng.randbytes(32)))
        self._vault.changed(key, now)
        self._vault.aliases[account, region, name] = Alias(name, account, region, key, now, now)
        return key.arn


def _show_failed_use(refusal: Refusal, call: Call) -> None:
    """A key that cannot be used shows in CloudTrail with the key; other failures show nothing.

    Denied calls, and failed control calls, have neither requestParameters nor resources.
    """
    if call.operation in CRYPTOGRAPHIC and refusal.code in _STATE_ERRORS:
        refusal.resources = tuple(dict.fromkeys(key.arn for key in call.touched))
        refusal.request_parameters = wire.logged_request(call.operation, call.parameters)
