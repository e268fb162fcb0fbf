"""A KMS key: its name and its state, as data.

Identity is the whole ARN, Region included: multi-Region keys share the id `mrk-...` in several
Regions and have a state of their own in each (AWS KMS developer guide, "Multi-Region keys").
"""

import json
import re
from enum import StrEnum
from typing import Any, Self

import msgspec

ARN_PATTERN = re.compile(
    r"arn:(?P<partition>aws[a-z-]{0,20}):kms:(?P<region>[a-z]{2}[a-z0-9-]{2,30}):(?P<account>[0-9]{12})"
    r":key/(?P<key_id>[A-Za-z0-9-]{1,128})"
)


def partition_of(region: str) -> str:
    """The partition that a Region belongs to."""
    for start, partition in {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}.items():
        if region.startswith(start):
            return partition
    return "aws"


class KeyState(StrEnum):
    """`KeyState` of DescribeKey, plus GONE for a key that KMS no longer knows."""

    CREATING = "Creating"
    ENABLED = "Enabled"
    DISABLED = "Disabled"
    PENDING_DELETION = "PendingDeletion"
    PENDING_IMPORT = "PendingImport"
    PENDING_REPLICA_DELETION = "PendingReplicaDeletion"
    UNAVAILABLE = "Unavailable"
    UPDATING = "Updating"
    GONE = "Gone"

    @property
    def pending_deletion(self) -> bool:
        """Either kind: the one with a date, and a multi-Region primary that waits for replicas."""
        return self in {KeyState.PENDING_DELETION, KeyState.PENDING_REPLICA_DELETION}


class KeyRef(msgspec.Struct, frozen=True, order=True):
    """The name of one key in one Region."""

    account: str
    region: str
    key_id: str
    partition: str = "aws"

    @property
    def arn(self) -> str:
        return f"arn:{self.partition}:kms:{self.region}:{self.account}:key/{self.key_id}"

    @property
    def place(self) -> tuple[str, str]:
        """Account and Region."""
        return self.account, self.region

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The key that `text`, which must be nothing but a key ARN, names; else None."""
        match = ARN_PATTERN.fullmatch(text)
        return None if match is None else cls(**match.groupdict())

    @classmethod
    def search(cls, text: str) -> Self | None:
        """The first key ARN inside `text`, such as an error message; else None."""
        match = ARN_PATTERN.search(text)
        return None if match is None else cls(**match.groupdict())

    def __str__(self) -> str:
        return self.arn


class Grant(msgspec.Struct, frozen=True):
    """One grant, as ListGrants shows it. A grant cannot be changed, only revoked and made anew."""

    grant_id: str
    grantee: str = ""
    """A principal's ARN, or a service's name."""
    retiring: str = ""
    operations: tuple[str, ...] = ()
    name: str = ""
    constraints: dict[str, dict[str, str]] = {}
    """`EncryptionContextSubset` and `EncryptionContextEquals`, as the API spells them."""


class KeySnapshot(msgspec.Struct, frozen=True):
    """A key as it was at `as_of` (all times are epoch seconds).

    What DescribeKey shows is always there. The rest is None where it was not read, or may not be:
    see `monitor.repair.live`.
    """

    key: KeyRef
    state: KeyState
    as_of: float
    customer_managed: bool = True
    origin: str = "AWS_KMS"
    multi_region: bool = False
    deletion_date: float | None = None
    description: str = ""
    valid_to: float | None = None
    """When imported material expires; None where it does not."""
    primary: KeyRef | None = None
    """The primary of a multi-Region key, which may be the key itself."""
    replicas: tuple[KeyRef, ...] = ()
    custom_key_store: str = ""
    spec: str = "SYMMETRIC_DEFAULT"
    """Only such keys can be rotated by KMS itself (aws-facts 3.2)."""
    policy: str | None = None
    """As canonical JSON: members sorted, no blanks."""
    rotation_days: int | None = None
    """The period of automatic rotation in days; 0: it is off."""
    aliases: tuple[str, ...] | None = None
    """Names such as `alias/payments`, sorted."""
    tags: dict[str, str] | None = None
    grants: tuple[Grant, ...] | None = None
    """Sorted by id."""


def canonical(document: Any) -> str:
    """JSON that is the same for the same document: members sorted, no blanks."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))
