"""Which wrapping goes with which key, whether material fits it, and the wrapping itself. Pure.

Source: AWS KMS developer guide, "Select a wrapping public key spec" and "Importing key material",
step 3; API reference of GetParametersForImport; aws-facts 3.5.
"""

import os
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from monitor.errors import NotWorthRetrying
from monitor.escrow import Secret

SYMMETRIC = "SYMMETRIC_DEFAULT"
OAEP, KEY_WRAP = "RSAES_OAEP_SHA_256", "RSA_AES_KEY_WRAP_SHA_256"
WRAPPING_KEY = "RSA_4096"
"""AWS: "use the longest RSA wrapping key that is practical"."""
SYMMETRIC_BYTES = 32
LONGEST_HMAC = 128
HMAC_BYTES: Mapping[str, int] = {"HMAC_224": 28, "HMAC_256": 32, "HMAC_384": 48, "HMAC_512": 64}
"""The least of each: as long as its digest."""
CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}
EDWARDS = "ECC_NIST_EDWARDS25519"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
RSA_BITS: Mapping[str, int] = {"RSA_2048": 2048, "RSA_3072": 3072, "RSA_4096": 4096}
SPECS = (SYMMETRIC, *HMAC_BYTES, *RSA_BITS, *CURVES, EDWARDS)
"""Whose material can be imported by us. SM2 needs a wrapping of its own; ML-DSA has none."""


class Wrapping(msgspec.Struct, frozen=True):
    """`WrappingAlgorithm` and `WrappingKeySpec` of GetParametersForImport."""

    algorithm: str
    key_spec: str = WRAPPING_KEY


def wrapping_for(spec: str) -> Wrapping:
    """By the key's `KeySpec`. Raises `NotWorthRetrying` for one that cannot be imported by us."""
    if spec not in SPECS:
        raise NotWorthRetrying(f"material of {spec} keys cannot be imported by kms-monitor")
    # A private RSA key is longer than what OAEP can hold; for the other private keys it is as good.
    private = spec in RSA_BITS or spec in CURVES or spec == EDWARDS
    return Wrapping(KEY_WRAP if private else OAEP)


def wrap(secret: Secret, public_key: bytes, algorithm: str) -> bytes:
    """`EncryptedKeyMaterial`. Raises `NotWorthRetrying` where the public key is none of RSA.

    public_key: DER of a SubjectPublicKeyInfo, as GetParametersForImport gives it.
    """
    try:
        wrapping_key = serialization.load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NotWorthRetrying("the wrapping key cannot be read") from error
    if not isinstance(wrapping_key, rsa.RSAPublicKey):
        raise NotWorthRetrying("the wrapping key is not an RSA key")
    sha_256 = hashes.SHA256()
    oaep = padding.OAEP(mgf=padding.MGF1(sha_256), algorithm=sha_256, label=None)
    match algorithm:
        case "RSAES_OAEP_SHA_256":
            return wrapping_key.encrypt(secret.reveal(), oaep)
        case "RSA_AES_KEY_WRAP_SHA_256":
            # A new AES key under RSA-OAEP, and the material under that key (RFC 5649).
            aes_key = os.urandom(32)
            wrapped = keywrap.aes_key_wrap_with_padding(aes_key, secret.reveal())
            return wrapping_key.encrypt(aes_key, oaep) + wrapped
        case _:
            raise NotWorthRetrying(f"kms-monitor does not wrap with {algorithm}")


def misfit(spec: str, secret: Secret) -> str:
    """Why material cannot be of a key of this spec; "" where it can be."""
    length = len(secret)
    if spec == SYMMETRIC:
        fits, wanted = length == SYMMETRIC_BYTES, f"{SYMMETRIC_BYTES} bytes"
    elif (least := HMAC_BYTES.get(spec)) is not None:
        fits, wanted = least <= length <= LONGEST_HMAC, f"{least} to {LONGEST_HMAC} bytes"
    else:
        fits, wanted = is_private_key(spec, secret), "a private key of this spec in PKCS #8 DER"
    return "" if fits else f"material of {spec} keys must be {wanted}; this is {length} bytes"


def is_private_key(spec: str, secret: Secret) -> bool:
    key = private_key(secret)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.key_size == RSA_BITS.get(spec)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curve = CURVES.get(spec)
        return curve is not None and isinstance(key.curve, curve)
    return isinstance(key, ed25519.Ed25519PrivateKey) and spec == EDWARDS


def private_key(secret: Secret) -> PrivateKey | None:
    """The private key that the material is; None where it is none that KMS could have."""
    try:
        key = serialization.load_der_private_key(secret.reveal(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, PrivateKey) else None


def public_half(secret: Secret) -> bytes:
    """The public key of a private one as DER, as GetPublicKey gives it; b"" where it is none."""
    key = private_key(secret)
    if key is None:
        return b""
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def new_material(spec: str) -> Secret:
    """New random material for a key of this spec. Raises `NotWorthRetrying` for an unknown one."""
    wrapping_for(spec)
    if spec == SYMMETRIC:
        return Secret(os.urandom(SYMMETRIC_BYTES))
    if spec in HMAC_BYTES:
        return Secret(os.urandom(HMAC_BYTES[spec]))
    if spec in RSA_BITS:
        return der(rsa.generate_private_key(65537, RSA_BITS[spec]))
    if spec in CURVES:
        return der(ec.generate_private_key(CURVES[spec]()))
    return der(ed25519.Ed25519PrivateKey.generate())


def der(key: PrivateKey) -> Secret:
    return Secret(
        key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
