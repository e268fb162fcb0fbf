"""The names of KMS's calls as policies write them, and the patterns over them.

From the AWS Service Authorization Reference, "Actions defined by AWS Key Management Service". A
call that AWS adds later is known only by the name that a policy gives it, and by `OTHER`.
"""

from collections.abc import Iterable
from functools import lru_cache

from monitor.iam_policy.document import matches

NAMES = """
    CancelKeyDeletion ConnectCustomKeyStore CreateAlias CreateCustomKeyStore CreateGrant CreateKey
    Decrypt DeleteAlias DeleteCustomKeyStore DeleteImportedKeyMaterial DeriveSharedSecret
    DescribeCustomKeyStores DescribeKey DisableKey DisableKeyRotation DisconnectCustomKeyStore
    EnableKey EnableKeyRotation Encrypt GenerateDataKey GenerateDataKeyPair
    GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext GenerateMac GenerateRandom
    GetKeyLastUsage GetKeyPolicy GetKeyRotationStatus GetParametersForImport GetPublicKey
    ImportKeyMaterial ListAliases ListGrants ListKeyPolicies ListKeyRotations ListKeys
    ListResourceTags ListRetirableGrants PutKeyPolicy ReEncryptFrom ReEncryptTo ReplicateKey
    RetireGrant RevokeGrant RotateKeyOnDemand ScheduleKeyDeletion Sign SynchronizeMultiRegionKey
    TagResource UntagResource UpdateAlias UpdateCustomKeyStore UpdateKeyDescription
    UpdatePrimaryRegion Verify VerifyMac
"""
SPELLED = {f"kms:{name}".lower(): name for name in NAMES.split()}
"""By the name in small letters, for IAM minds no case in the names of actions."""
OTHER = "kms:~"
"""Whatever KMS may learn to do: only `kms:*` and its like take it in."""
KNOWN = frozenset(SPELLED) | {OTHER}
CONTROLLING = (
    "CreateGrant DeleteImportedKeyMaterial DisableKey PutKeyPolicy ReplicateKey "
    "ScheduleKeyDeletion UpdatePrimaryRegion"
)
CONTROL = frozenset(f"kms:{name}".lower() for name in CONTROLLING.split())
"""Whoever may do one of these can take the key, or control of it, away."""
MOST_NAMES = 6
"""In one sentence."""


@lru_cache(maxsize=2048)
def taken_in(pattern: str) -> frozenset[str]:
    """The actions that one pattern, in small letters, takes in.

    A name without a star counts though nobody knows it; other services' actions have no effect.
    """
    found = frozenset(name for name in KNOWN if matches(pattern, name))
    named = pattern.startswith("kms:") and not set(pattern) & set("*?")
    return found | {pattern} if named else found


def expand(patterns: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(taken_in(pattern) for pattern in patterns))


def in_words(actions: Iterable[str]) -> str:
    """`Decrypt, Encrypt`, or what stands for very many of them: behind a "may"."""
    given = frozenset(actions)
    if given >= KNOWN:
        return "use kms:*"
    missing = KNOWN - given
    if len(missing) <= 3:
        return f"use kms:* but not {', '.join(names_of(missing))}"
    names = names_of(given)
    more = len(names) - MOST_NAMES
    # Control before use, for a list that is cut must not hide it.
    if more > 1:
        names = names_of(given & CONTROL) + names_of(given - CONTROL)
        return f"{', '.join(names[:MOST_NAMES])} and {more} more"
    return ", ".join(names)


def as_object(actions: Iterable[str]) -> str:
    """The same behind "is denied"."""
    return in_words(actions).removeprefix("use ")


def names_of(actions: Iterable[str]) -> list[str]:
    plain = (SPELLED.get(one) or one.removeprefix("kms:")[:40] for one in actions if one != OTHER)
    return sorted(plain) or ["what KMS may learn later"]
