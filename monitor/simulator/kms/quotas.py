"""Request quotas: token buckets per account, Region and operation.

Figures: KMS developer guide, "Request quotas" (requests per second, shared by all principals of the
account; a call about another account's key is billed to the caller's account).
"""

import msgspec

from monitor.simulator.words import Refusal

_CRYPTOGRAPHY = "cryptographic operations"
_SHARED = dict.fromkeys(
    [
        "Encrypt",
        "Decrypt",
        "ReEncrypt",
        "GenerateDataKey",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateRandom",
        "GenerateMac",
        "VerifyMac",
        "Sign",
        "Verify",
    ],
    _CRYPTOGRAPHY,
)

PER_SECOND = {
    _CRYPTOGRAPHY: 10_000.0,
    "CancelKeyDeletion": 5.0,
    "DisableKey": 5.0,
    "EnableKey": 5.0,
    "ScheduleKeyDeletion": 15.0,
    "PutKeyPolicy": 15.0,
    "EnableKeyRotation": 15.0,
    "DisableKeyRotation": 5.0,
    "RotateKeyOnDemand": 5.0,
    "ImportKeyMaterial": 15.0,
    "DeleteImportedKeyMaterial": 15.0,
    "GetParametersForImport": 0.25,
    "CreateAlias": 5.0,
    "UpdateAlias": 5.0,
    "DeleteAlias": 15.0,
    "CreateGrant": 50.0,
    "RetireGrant": 50.0,
    "RevokeGrant": 50.0,
    "TagResource": 10.0,
    "UntagResource": 5.0,
    "UpdateKeyDescription": 5.0,
    "CreateKey": 5.0,
    "ReplicateKey": 5.0,
    "UpdatePrimaryRegion": 5.0,
    "DescribeKey": 2000.0,
    "GetKeyPolicy": 1000.0,
    "GetKeyRotationStatus": 1000.0,
    "ListKeys": 500.0,
    "ListAliases": 500.0,
    "ListGrants": 100.0,
    "ListRetirableGrants": 100.0,
    "ListKeyRotations": 100.0,
    "ListKeyPolicies": 100.0,
    "ListResourceTags": 2000.0,
    "GetPublicKey": 2000.0,
    "GetKeyLastUsage": 100.0,
}
CUSTOM_KEY_STORE = 5.0


class _Bucket(msgspec.Struct):
    tokens: float
    at: float


class Quotas:
    """A bucket holds one second's worth, at least one call, and starts full."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str, str], _Bucket] = {}

    def take(self, account: str, region: str, operation: str, *, scale: float, now: float) -> None:
        """Spend one call; raises ThrottlingException (HTTP 400 it is, not 429)."""
        name = _SHARED.get(operation, operation)
        rate = PER_SECOND.get(name, CUSTOM_KEY_STORE) * scale
        most = max(rate, 1.0)
        bucket = self._buckets.setdefault((account, region, name), _Bucket(most, now))
        bucket.tokens = min(most, bucket.tokens + max(0.0, now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens < 1.0:
            raise Refusal(
                "ThrottlingException",
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of "
                f"your {operation} calls.",
            )
        bucket.tokens -= 1.0
