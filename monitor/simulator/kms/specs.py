"""Key specs: which usages and algorithms each of them has (AWS KMS developer guide, key specs)."""

from typing import NamedTuple

from monitor.simulator.words import Refusal

ENCRYPT, SIGN, MAC, AGREE = (
    "ENCRYPT_DECRYPT",
    "SIGN_VERIFY",
    "GENERATE_VERIFY_MAC",
    "KEY_AGREEMENT",
)


class Spec(NamedTuple):
    usages: tuple[str, ...]
    encryption: tuple[str, ...] = ()
    signing: tuple[str, ...] = ()
    mac: tuple[str, ...] = ()
    agreement: tuple[str, ...] = ()

    def algorithms(self, usage: str) -> dict[str, list[str]]:
        """The member of KeyMetadata and of GetPublicKey that names the algorithms of `usage`."""
        return {
            ENCRYPT: {"EncryptionAlgorithms": list(self.encryption)},
            SIGN: {"SigningAlgorithms": list(self.signing)},
            MAC: {"MacAlgorithms": list(self.mac)},
            AGREE: {"KeyAgreementAlgorithms": list(self.agreement)},
        }[usage]


_RSA = Spec(
    (ENCRYPT, SIGN),
    encryption=("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256"),
    signing=tuple(
        f"{padding}_SHA_{bits}"
        for padding in ("RSASSA_PKCS1_V1_5", "RSASSA_PSS")
        for bits in (256, 384, 512)
    ),
)
_ML_DSA = Spec((SIGN,), signing=("ML_DSA_SHAKE_256",))


def _ecc(bits: int) -> Spec:
    return Spec((SIGN, AGREE), signing=(f"ECDSA_SHA_{bits}",), agreement=("ECDH",))


def _hmac(bits: int) -> Spec:
    return Spec((MAC,), mac=(f"HMAC_SHA_{bits}",))


SPECS = {
    "SYMMETRIC_DEFAULT": Spec((ENCRYPT,), encryption=("SYMMETRIC_DEFAULT",)),
    "RSA_2048": _RSA,
    "RSA_3072": _RSA,
    "RSA_4096": _RSA,
    "ECC_NIST_P256": _ecc(256),
    "ECC_NIST_P384": _ecc(384),
    "ECC_NIST_P521": _ecc(512),
    "ECC_SECG_P256K1": Spec((SIGN,), signing=("ECDSA_SHA_256",)),
    "ECC_NIST_EDWARDS25519": Spec((SIGN,), signing=("ED25519_SHA_512", "ED25519_PH_SHA_512")),
    "HMAC_224": _hmac(224),
    "HMAC_256": _hmac(256),
    "HMAC_384": _hmac(384),
    "HMAC_512": _hmac(512),
    "SM2": Spec((ENCRYPT, SIGN, AGREE), ("SM2PKE",), ("SM2DSA",), (), ("ECDH",)),
    "ML_DSA_44": _ML_DSA,
    "ML_DSA_65": _ML_DSA,
    "ML_DSA_87": _ML_DSA,
}

# CustomerMasterKeySpec, the old name of KeySpec, never learned the newest specs.
UNKNOWN_TO_OLD_NAME = frozenset({"ML_DSA_44", "ML_DSA_65", "ML_DSA_87", "ECC_NIST_EDWARDS25519"})


def require_usage(spec: str, usage: str) -> None:
    """Refuse a usage that the spec does not have, as CreateKey does."""
    if usage not in SPECS[spec].usages:
        raise Refusal(
            "ValidationException", f"KeyUsage {usage} is not compatible with KeySpec {spec}"
        )
