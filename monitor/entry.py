"""How an account is entered. Pure."""

import re

import msgspec


class Entry(msgspec.Struct, frozen=True):
    """How to enter an account: with our own credentials, or through a role."""

    account: str
    role_arn: str = ""
    external_id: str = ""


def session_name(entry: str) -> str:
    """`RoleSessionName`, which STS takes only of such characters, and 64 of them at most."""
    return re.sub(r"[^A-Za-z0-9_+=,.@-]", "-", f"kms-monitor-{entry}")[:64]
