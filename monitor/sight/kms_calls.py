"""The KMS events that a guardian of keys cannot do without, by name (aws-facts 2.2, 2.4, 4.1).

Rests on the KMS developer guide, "Logging AWS KMS API calls with AWS CloudTrail".
"""

DAMAGE = (
    "DeleteImportedKeyMaterial",
    "DeleteKey",
    "DisableKey",
    "PutKeyPolicy",
    "ScheduleKeyDeletion",
)
"""They take a key, or control of it, away at once. DeleteKey is KMS's own word that it is gone."""
WRITES = (
    *DAMAGE,
    "CancelKeyDeletion",
    "CreateGrant",
    "DeleteAlias",
    "DeleteCustomKeyStore",
    "DeleteExpiredKeyMaterial",
    "DisableKeyRotation",
    "DisconnectCustomKeyStore",
    "EnableKey",
    "ImportKeyMaterial",
    "RetireGrant",
    "RevokeGrant",
    "UpdateAlias",
    "UpdateCustomKeyStore",
    "UpdatePrimaryRegion",
)
"""All that changes who can use a key, or whether anybody can."""
SERVICE_EVENTS = frozenset({"DeleteExpiredKeyMaterial", "DeleteKey", "RotateKey"})
"""What KMS does by itself: `eventType` AwsServiceEvent, and no caller."""
USES = (
    "Decrypt",
    "DeriveSharedSecret",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "ReEncrypt",
    "Sign",
    "Verify",
    "VerifyMac",
)
"""The cryptographic operations with a key."""
READS = (*USES, "GenerateRandom", "GetParametersForImport")
"""Calls that count as read-only to CloudTrail, and to EventBridge, though they matter."""
