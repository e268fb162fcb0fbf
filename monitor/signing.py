"""Signatures of webhooks after Standard Webhooks 1.0 (standardwebhooks.com). Pure.

HMAC-SHA256 over `id.timestamp.body`. Its libraries, for a dozen languages, verify it and refuse what is
older or newer than five minutes. docs/notifications.md says it in ten lines of Python.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

PREFIX: Final = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret ("Signature scheme")."""


def secret_of(text: str) -> bytes:
    """The key that `whsec_...` stands for. Raises ValueError, which does not quote it."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or not SHORTEST <= len(secret) <= LONGEST:
        raise ValueError(f"must be {PREFIX} and {SHORTEST} to {LONGEST} bytes in base64")
    return secret


def signature(secret: bytes, name: str, at: int, body: bytes) -> str:
    digest = hmac.new(secret, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def signed(secrets: Iterable[bytes], name: str, at: int, body: bytes) -> dict[str, str]:
    """The headers of a message. Two secrets while one replaces the other."""
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(signature(one, name, at, body) for one in secrets),
    }
