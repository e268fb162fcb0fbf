"""Asymmetric keys, with real cryptography for RSA_2048 and the NIST and SECG curves.

Imported RSA keys work in every size; for the other specs the answer is UnsupportedOperationException.
"""

import functools
from typing import cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from monitor.simulator.kms.keys import Key
from monitor.simulator.kms.usage import unavailable
from monitor.simulator.kms.vault import new_material
from monitor.simulator.words import Refusal

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
    "ECC_SECG_P256K1": ec.SECP256K1,
}
_HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "SHA_1": hashes.SHA1,
    "SHA_256": hashes.SHA256,
    "SHA_384": hashes.SHA384,
    "SHA_512": hashes.SHA512,
}


def digest_of(algorithm: str) -> hashes.HashAlgorithm:
    """`RSASSA_PSS_SHA_384` -> SHA-384."""
    return _HASHES[algorithm[algorithm.rindex("SHA_") :]]()


def oaep(algorithm: str) -> padding.OAEP:
    digest = digest_of(algorithm)
    return padding.OAEP(mgf=padding.MGF1(digest), algorithm=digest, label=None)


def fits(private_key: object, spec: str) -> bool:
    """Whether a private key is of this spec, as ImportKeyMaterial asks."""
    if isinstance(private_key, rsa.RSAPrivateKey):
        return spec == f"RSA_{private_key.key_size}"
    if isinstance(private_key, ec.EllipticCurvePrivateKey):
        return spec in CURVES and isinstance(private_key.curve, CURVES[spec])
    return False


def private_key(key: Key) -> PrivateKey:
    """The key's private key, made on first use (an RSA key takes a while)."""
    material = key.current_material
    if material is None and key.origin == "AWS_KMS" and not key.gone:
        # Appended, not replaced: related multi-Region keys share the list.
        key.materials.append(new_material(key, _generate(key.spec)))
        material = key.current_material
    if material is None or material.secret is None:
        raise unavailable(key)
    return _loaded(material.secret)


def public_der(key: Key) -> bytes:
    return (
        private_key(key)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def encrypt(key: Key, algorithm: str, plaintext: bytes) -> bytes:
    try:
        return _rsa(key).public_key().encrypt(plaintext, oaep(algorithm))
    except ValueError as error:
        raise Refusal(
            "ValidationException", f"Plaintext is too long for {algorithm} with {key.spec}"
        ) from error


def decrypt(key: Key, algorithm: str, sealed: bytes) -> bytes:
    try:
        return _rsa(key).decrypt(sealed, oaep(algorithm))
    except ValueError as error:
        raise Refusal("InvalidCiphertextException", "") from error


def sign(key: Key, algorithm: str, message: bytes, *, is_digest: bool) -> bytes:
    private = private_key(key)
    digest = _digest(algorithm, message, is_digest=is_digest)
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(message, _signature_padding(algorithm), digest)
    return private.sign(message, ec.ECDSA(digest))


def verify(key: Key, algorithm: str, message: bytes, signature: bytes, *, is_digest: bool) -> bool:
    public: PublicKey = private_key(key).public_key()
    digest = _digest(algorithm, message, is_digest=is_digest)
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, message, _signature_padding(algorithm), digest)
        else:
            public.verify(signature, message, ec.ECDSA(digest))
    except InvalidSignature:
        return False
    return True


def _digest(algorithm: str, message: bytes, *, is_digest: bool) -> hashes.HashAlgorithm | Prehashed:
    digest = digest_of(algorithm)
    if not is_digest:
        return digest
    if len(message) != digest.digest_size:
        raise Refusal("ValidationException", "Digest is invalid length for algorithm.")
    return Prehashed(digest)


def _signature_padding(algorithm: str) -> padding.AsymmetricPadding:
    if algorithm.startswith("RSASSA_PSS"):
        digest = digest_of(algorithm)
        return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
    return padding.PKCS1v15()


def _rsa(key: Key) -> rsa.RSAPrivateKey:
    return cast("rsa.RSAPrivateKey", private_key(key))


def _generate(spec: str) -> bytes:
    made: PrivateKey
    if spec == "RSA_2048":
        made = rsa.generate_private_key(65537, 2048)
    elif spec in CURVES:
        made = ec.generate_private_key(CURVES[spec]())
    else:
        raise Refusal(
            "UnsupportedOperationException", f"The simulator keeps {spec} keys as data only"
        )
    return made.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@functools.lru_cache(maxsize=64)
def _loaded(der: bytes) -> PrivateKey:
    return cast("PrivateKey", serialization.load_der_private_key(der, password=None))
