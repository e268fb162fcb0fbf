"""Writing to KMS: the only place that does."""

from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from monitor.aws import Aws
from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.key import KeySnapshot
from monitor.repair.live import patiently
from monitor.repair.plan import Call, Step

if TYPE_CHECKING:
    from types_aiobotocore_kms import KMSClient

NOT_FOUND = "NotFoundException"
ALREADY_EXISTS = "AlreadyExistsException"
ON_THE_PRIMARY = frozenset({Call.UPDATE_PRIMARY_REGION, Call.ENABLE_KEY_ROTATION})
"""Calls that have to be made where the primary of a multi-Region key is now (aws-facts 3.4)."""
LOCKOUT = "MalformedPolicyDocumentException"
"""Also the answer to a policy that would not let its writer change it again (KMS developer guide,
"Default key policy": the lockout safety check)."""


class Material(Protocol):
    """Brings imported key material back: `monitor.reimport`."""

    async def bring_back(self, live: KeySnapshot, valid_to: float | None) -> object: ...


class KeyWriter:
    """One writing call at a time. Errors: see `monitor.errors`.

    Sent twice none of them does harm: see the key-state table. A grant that is made twice under one
    name is one grant, and without a name is two of the same.
    """

    def __init__(self, aws: Aws, material: Material | None = None) -> None:
        self.aws = aws
        self.material = material

    async def send(self, step: Step, live: KeySnapshot) -> None:
        """Make the call of one step."""
        if step.call is Call.IMPORT_KEY_MATERIAL:
            assert self.material is not None, "it is planned only where there is an escrow"
            await self.material.bring_back(live, step.value)
            return
        async for attempt in patiently():
            with attempt:
                await self.call(step, live)

    async def call(self, step: Step, live: KeySnapshot) -> None:
        key = live.key
        if step.call in ON_THE_PRIMARY and live.primary is not None:
            key = live.primary
        client, arn, value = await self.aws.kms(key.account, key.region), key.arn, step.value
        if step.call is Call.PUT_KEY_POLICY:
            await self.put_policy(client, arn, value)
        elif step.call is Call.UPDATE_ALIAS:
            await self.point_alias(client, arn, value)
        else:
            async with self.aws.calling("kms", step.call.value):
                await simple(client, step.call, arn, value)

    async def put_policy(self, client: "KMSClient", arn: str, policy: str) -> None:
        """As it was, even if it did not let us change it: KMS's own check would refuse that."""
        try:
            async with self.aws.calling("kms", "PutKeyPolicy"):
                await client.put_key_policy(KeyId=arn, PolicyName="default", Policy=policy)
        except NotWorthRetrying as error:
            if error.code != LOCKOUT:
                raise
            async with self.aws.calling("kms", "PutKeyPolicy"):
                await client.put_key_policy(
                    KeyId=arn,
                    PolicyName="default",
                    Policy=policy,
                    BypassPolicyLockoutSafetyCheck=True,
                )

    async def point_alias(self, client: "KMSClient", arn: str, alias: str) -> None:
        """Whether it was deleted or points at another key, nobody need know."""
        try:
            async with self.aws.calling("kms", "UpdateAlias"):
                await client.update_alias(AliasName=alias, TargetKeyId=arn)
        except NotWorthRetrying as error:
            if error.code != NOT_FOUND:
                raise
            await self.create_alias(client, arn, alias)

    async def create_alias(self, client: "KMSClient", arn: str, alias: str) -> None:
        try:
            async with self.aws.calling("kms", "CreateAlias"):
                await client.create_alias(AliasName=alias, TargetKeyId=arn)
        except NotWorthRetrying as error:
            if error.code != ALREADY_EXISTS:
                raise
            raise WorthRetrying(f"{alias} is just being made by somebody else") from error


def simple(client: "KMSClient", call: Call, arn: str, value: Any) -> Awaitable[object]:
    """The calls that need nothing but the key and a value."""
    match call:
        case Call.CANCEL_KEY_DELETION:
            return client.cancel_key_deletion(KeyId=arn)
        case Call.ENABLE_KEY:
            return client.enable_key(KeyId=arn)
        case Call.TAG_RESOURCE:
            tags = [{"TagKey": name, "TagValue": text} for name, text in value.items()]
            return client.tag_resource(KeyId=arn, Tags=tags)  # type: ignore[arg-type]
        case Call.UNTAG_RESOURCE:
            return client.untag_resource(KeyId=arn, TagKeys=value)
        case Call.CREATE_GRANT:
            return client.create_grant(KeyId=arn, **grant_request(value))
        case Call.REVOKE_GRANT:
            return client.revoke_grant(KeyId=arn, GrantId=value)
        case Call.ENABLE_KEY_ROTATION:
            return client.enable_key_rotation(KeyId=arn, RotationPeriodInDays=value)
        case Call.UPDATE_KEY_DESCRIPTION:
            return client.update_key_description(KeyId=arn, Description=value)
        case Call.UPDATE_PRIMARY_REGION:
            return client.update_primary_region(KeyId=arn, PrimaryRegion=value)
        case Call.CONNECT_CUSTOM_KEY_STORE:
            return client.connect_custom_key_store(CustomKeyStoreId=value)
    raise AssertionError(f"{call} has its own way")


def grant_request(said: Mapping[str, Any]) -> dict[str, Any]:
    """CreateGrant's parameters, from the value of a grant's register."""
    request: dict[str, Any] = {
        "GranteePrincipal": said["grantee"],
        "Operations": list(said["operations"]),
    }
    if said.get("retiring"):
        request["RetiringPrincipal"] = said["retiring"]
    if said.get("name"):
        request["Name"] = said["name"]
    if said.get("constraints"):
        request["Constraints"] = said["constraints"]
    return request
