"""Wrapping is what KMS unwraps, and only what fits a key is sent; the expiry of before, or none.

The unwrapping here is written after RFC 8017 and RFC 5649 as AWS describes it, not after our code.
"""

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, keywrap, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from monitor.errors import NotWorthRetrying
from monitor.escrow import Secret
from monitor.reimport.expiry import DAY, Expiry, expiry
from monitor.reimport.wrapping import (
    KEY_WRAP,
    OAEP,
    SPECS,
    der,
    misfit,
    new_material,
    public_half,
    wrap,
    wrapping_for,
)
from monitor.settings_material import MaterialSettings

WRAPPING_KEY = rsa.generate_private_key(65537, 2048)
PUBLIC = WRAPPING_KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
SHA_256 = hashes.SHA256()
PADDING = padding.OAEP(mgf=padding.MGF1(SHA_256), algorithm=SHA_256, label=None)
NOW = 1_795_000_000.0
RSA_SECRET = der(rsa.generate_private_key(65537, 2048)).reveal()


def unwrapped(wrapped: bytes, algorithm: str) -> bytes:
    if algorithm == OAEP:
        return WRAPPING_KEY.decrypt(wrapped, PADDING)
    aes_key = WRAPPING_KEY.decrypt(wrapped[:256], PADDING)
    assert len(aes_key) == 32
    return keywrap.aes_key_unwrap_with_padding(aes_key, wrapped[256:])


@given(st.binary(min_size=1, max_size=190))
def test_oaep_holds_what_was_wrapped(material: bytes) -> None:
    assert unwrapped(wrap(Secret(material), PUBLIC, OAEP), OAEP) == material


@given(st.binary(min_size=1, max_size=3000))
def test_key_wrap_holds_what_was_wrapped(material: bytes) -> None:
    assert unwrapped(wrap(Secret(material), PUBLIC, KEY_WRAP), KEY_WRAP) == material


def test_nothing_is_wrapped_twice_in_the_same_way() -> None:
    for algorithm in (OAEP, KEY_WRAP):
        first, second = (wrap(Secret(bytes(32)), PUBLIC, algorithm) for _ in range(2))
        assert first != second
        assert first[:256] != second[:256]


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [
        ("SYMMETRIC_DEFAULT", "RSAES_OAEP_SHA_256"),
        ("HMAC_512", "RSAES_OAEP_SHA_256"),
        ("RSA_4096", "RSA_AES_KEY_WRAP_SHA_256"),
        ("ECC_NIST_P521", "RSA_AES_KEY_WRAP_SHA_256"),
        ("ECC_SECG_P256K1", "RSA_AES_KEY_WRAP_SHA_256"),
        ("ECC_NIST_EDWARDS25519", "RSA_AES_KEY_WRAP_SHA_256"),
    ],
)
def test_the_wrapping_goes_with_the_key(spec: str, algorithm: str) -> None:
    """GetParametersForImport, `WrappingAlgorithm`: an RSA private key must use RSA_AES."""
    wrapping = wrapping_for(spec)
    assert (wrapping.algorithm, wrapping.key_spec) == (algorithm, "RSA_4096")


@pytest.mark.parametrize("spec", ["SM2", "ML_DSA_44", ""])
def test_what_cannot_be_imported_by_us_is_said(spec: str) -> None:
    with pytest.raises(NotWorthRetrying, match="cannot be imported by kms-monitor"):
        wrapping_for(spec)


def test_a_wrapping_key_that_is_none() -> None:
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    other = elliptic.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for public in (b"", b"x", other):
        with pytest.raises(NotWorthRetrying, match="the wrapping key"):
            wrap(Secret(bytes(32)), public, OAEP)
    with pytest.raises(NotWorthRetrying, match="does not wrap with RSAES_PKCS1_V1_5"):
        wrap(Secret(bytes(32)), PUBLIC, "RSAES_PKCS1_V1_5")


@pytest.mark.parametrize("spec", [one for one in SPECS if one not in {"RSA_3072", "RSA_4096"}])
def test_new_material_fits_its_own_spec_and_no_other_kind(spec: str) -> None:
    with new_material(spec) as secret, new_material(spec) as other:
        assert misfit(spec, secret) == ""
        assert secret.reveal() != other.reveal()
        fits = {one for one in SPECS if not misfit(one, secret)}
    if spec.startswith(("RSA", "ECC")):
        assert {one for one in fits if one.startswith(("RSA", "ECC"))} == {spec}


@pytest.mark.parametrize(
    ("spec", "length", "fits"),
    [
        ("SYMMETRIC_DEFAULT", 31, False),
        ("SYMMETRIC_DEFAULT", 32, True),
        ("SYMMETRIC_DEFAULT", 33, False),
        ("HMAC_224", 27, False),
        ("HMAC_224", 28, True),
        ("HMAC_512", 63, False),
        ("HMAC_512", 128, True),
        ("HMAC_512", 129, False),
        ("RSA_2048", 32, False),
        ("ECC_NIST_P256", 0, False),
    ],
)
def test_material_of_the_wrong_length_is_never_sent(spec: str, length: int, fits: bool) -> None:
    fault = misfit(spec, Secret(b"\x01" * length))
    assert (fault == "") is fits
    assert fits or f"this is {length} bytes" in fault


@given(st.binary(max_size=200), st.sampled_from(SPECS))
def test_whatever_an_escrow_holds_is_judged(data: bytes, spec: str) -> None:
    misfit(spec, Secret(data))
    public_half(Secret(data))


def test_private_keys_that_kms_cannot_have() -> None:
    keys: list[Any] = [dsa.generate_private_key(1024), ec.generate_private_key(ec.SECP224R1())]
    for key in keys:
        data = key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        assert all(misfit(spec, Secret(data)) for spec in ("RSA_2048", "ECC_NIST_P256"))
    pem = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    assert "in PKCS #8 DER" in misfit("ECC_NIST_EDWARDS25519", Secret(pem))


def test_the_public_half_is_the_one_that_kms_shows() -> None:
    key = serialization.load_der_private_key(RSA_SECRET, None)
    assert public_half(Secret(RSA_SECRET)) == key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public_half(Secret(b"no key")) == b""


# -- expiry


def test_material_without_expiry_comes_back_without() -> None:
    assert expiry(None, NOW, MaterialSettings()).parameters() == {
        "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE"
    }


@given(st.floats(min_value=61, max_value=364 * DAY))
def test_an_expiry_to_come_is_kept_whatever_the_settings(seconds: float) -> None:
    for expired in ("leave", "renew", "without_expiry"):
        settings = MaterialSettings.model_validate({"expired": expired})
        found = expiry(NOW + seconds, NOW, settings)
        assert found == Expiry(NOW + seconds)
        assert found.parameters()["ExpirationModel"] == "KEY_MATERIAL_EXPIRES"
        assert found.parameters()["ValidTo"].timestamp() == pytest.approx(NOW + seconds, abs=0.001)


@pytest.mark.parametrize("valid_to", [NOW - 1, NOW, NOW + 59, 0.0])
def test_an_expiry_that_is_past_is_a_decision_of_people(valid_to: float) -> None:
    assert "cannot be had any more" in expiry(valid_to, NOW, MaterialSettings()).impossible
    renew = MaterialSettings(expired="renew", renew_days=7)
    assert expiry(valid_to, NOW, renew) == Expiry(NOW + 7 * DAY)
    forever = MaterialSettings(expired="without_expiry")
    assert expiry(valid_to, NOW, forever) == Expiry()


def test_no_expiry_is_later_than_aws_takes() -> None:
    longest = MaterialSettings(expired="renew", renew_days=365)
    for found in (expiry(NOW - 1, NOW, longest), expiry(NOW + 400 * DAY, NOW, longest)):
        assert found.valid_to is not None
        assert NOW + 364 * DAY < found.valid_to < NOW + 365 * DAY
