"""Whether CloudTrail's digests say that no log file was changed or taken away. Pure.

AWS CloudTrail user guide, "Custom implementations of CloudTrail log file integrity validation"; the
steps are those of aws-facts 4.5. A digest is signed by CloudTrail, names the hash of every log file
of its hour, and of the digest before it.
"""

import hashlib
from enum import StrEnum

import msgspec

from monitor.decoding import explain


class Problem(StrEnum):
    """What a digest brings to light. A closed list, fit for a metric label."""

    BAD_SIGNATURE = "bad_signature"
    NO_KEY = "no_key"
    WRONG_PLACE = "wrong_place"
    """It was read from another place than it says: somebody moved or copied it."""
    HASH_MISMATCH = "hash_mismatch"
    MISSING_LOG = "missing_log"
    BROKEN_CHAIN = "broken_chain"
    CHAIN_RESTARTED = "chain_restarted"
    """There is none before it: logging, or the making of digests, had been stopped."""


class LogFile(msgspec.Struct, frozen=True, rename="camel"):
    s3_bucket: str = msgspec.field(name="s3Bucket")
    s3_object: str = msgspec.field(name="s3Object")
    hash_value: str = ""
    """SHA-256 of the unpacked file, in hex."""


class Digest(msgspec.Struct, frozen=True, rename="camel"):
    """One digest file."""

    digest_end_time: str
    aws_account_id: str = ""
    digest_s3_bucket: str = msgspec.field(default="", name="digestS3Bucket")
    digest_s3_object: str = msgspec.field(default="", name="digestS3Object")
    digest_start_time: str = ""
    digest_public_key_fingerprint: str = ""
    previous_digest_s3_bucket: str | None = msgspec.field(
        default=None, name="previousDigestS3Bucket"
    )
    previous_digest_s3_object: str | None = msgspec.field(
        default=None, name="previousDigestS3Object"
    )
    previous_digest_hash_value: str | None = None
    previous_digest_signature: str | None = None
    log_files: list[LogFile] = []


def read_digest(unpacked: bytes) -> Digest:
    """A digest file's content. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(unpacked, type=Digest)
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise explain(error) from error


def sha256(unpacked: bytes) -> str:
    return hashlib.sha256(unpacked).hexdigest()


def string_to_sign(digest: Digest, unpacked: bytes) -> bytes:
    """What CloudTrail signed; the first digest of a chain has `null` for the signature before."""
    parts = (
        digest.digest_end_time,
        f"{digest.digest_s3_bucket}/{digest.digest_s3_object}",
        sha256(unpacked),
        digest.previous_digest_signature or "null",
    )
    return "\n".join(parts).encode()


def check_signature(
    digest: Digest, unpacked: bytes, signature: str, public_key: bytes | None
) -> Problem | None:
    """`signature`: hex, from the object's metadata. `public_key`: DER, PKCS#1, as AWS gives it."""
    if public_key is None:
        return Problem.NO_KEY
    # Here and not above: without digests nobody pays for it at the start.
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_der_public_key  # noqa: PLC0415

    try:
        key = load_der_public_key(public_key)
        if not isinstance(key, RSAPublicKey):
            return Problem.NO_KEY
        key.verify(bytes.fromhex(signature), string_to_sign(digest, unpacked), PKCS1v15(), SHA256())
    except InvalidSignature:
        return Problem.BAD_SIGNATURE
    except ValueError:
        return Problem.BAD_SIGNATURE if public_key else Problem.NO_KEY
    return None


def check_place(digest: Digest, bucket: str, key: str) -> Problem | None:
    """Whether it was read from where it says that it is."""
    same = (digest.digest_s3_bucket, digest.digest_s3_object) == (bucket, key)
    return None if same else Problem.WRONG_PLACE


def check_previous(digest: Digest, unpacked: bytes | None, signature: str | None) -> Problem | None:
    """Whether the digest before it is the one that it names; None for `unpacked`: it is missing."""
    if not digest.previous_digest_s3_object:
        return Problem.CHAIN_RESTARTED
    if unpacked is None or sha256(unpacked) != digest.previous_digest_hash_value:
        return Problem.BROKEN_CHAIN
    if signature != digest.previous_digest_signature:
        return Problem.BROKEN_CHAIN
    return None
