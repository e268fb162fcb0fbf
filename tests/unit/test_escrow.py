"""What an escrow promises: secrets that show nothing, names, and encodings that are not guessed."""

import base64
import copy
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from monitor.errors import NotWorthRetrying
from monitor.escrow import LARGEST, Encoding, Names, Secret, Wanted, decode, fill, filled
from tests.samples import ACCOUNT, ARN, KEY, KEY_ID, REGION

MATERIAL = bytes(range(32))


class Model(BaseModel, extra="forbid"):
    names: Names


def test_a_secret_shows_nothing_and_is_gone_after_its_use() -> None:
    data = bytearray(MATERIAL)
    with Secret(data) as secret:
        assert secret.reveal() == MATERIAL
        for text in (repr(secret), str(secret), f"{secret}", repr([secret]), repr({"x": secret})):
            assert "key material of 32 bytes" in text
            assert "\\x01" not in text
    assert data == b""
    assert len(secret) == 0


def test_a_secret_is_overwritten_and_not_only_forgotten() -> None:
    data = bytearray(MATERIAL)
    secret = Secret(data)
    with memoryview(data) as view, pytest.raises(BufferError):
        secret.wipe()  # while it is looked at it cannot be shortened, only overwritten
    assert view is not None
    assert data == bytes(32)


@pytest.mark.parametrize("do", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_secret_is_never_copied(do: object) -> None:
    with pytest.raises(TypeError, match="never copied"):
        do(Secret(MATERIAL))  # type: ignore[operator]


@given(
    st.binary(min_size=1, max_size=300), st.sampled_from(["raw", "base64", "hex"]), st.booleans()
)
def test_what_is_encoded_is_decoded(data: bytes, encoding: Encoding, folded: bool) -> None:
    texts = {"raw": data, "base64": base64.b64encode(data), "hex": data.hex().encode()}
    text = texts[encoding]
    if folded and encoding != "raw":
        text = b"\n".join(text[start : start + 20] for start in range(0, len(text), 20)) + b"\r\n"
    assert decode(text, encoding, "here").reveal() == data
    assert decode(bytearray(text), encoding, "here").reveal() == data


@given(st.binary(max_size=100), st.sampled_from(["base64", "hex"]))
def test_any_bytes_are_decoded_or_refused_without_being_shown(
    data: bytes, encoding: Encoding
) -> None:
    try:
        if encoding == "hex":
            readable = bool(bytes.fromhex(b"".join(data.split()).decode("ascii")))
        else:
            readable = bool(base64.b64decode(b"".join(data.split()), validate=True))
    except ValueError:
        readable = False
    if readable:
        decode(data, encoding, "here")
        return
    with pytest.raises(NotWorthRetrying) as caught:
        decode(data, encoding, "here")
    assert str(caught.value) in {
        f"here is not valid {encoding}; see the option `encoding`",
        "here is empty",
    }
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("data", "encoding", "words"),
    [
        (b"", "raw", "here is empty"),
        (b" \n", "base64", "here is empty"),
        (b"x" * (LARGEST + 1), "raw", "is longer than 65536 bytes"),
        (b"abc", "base64", "is not valid base64"),
        (b"0x00", "hex", "is not valid hex"),
        ("é".encode(), "hex", "is not valid hex"),
    ],
)
def test_what_is_no_material_is_refused(data: bytes, encoding: Encoding, words: str) -> None:
    with pytest.raises(NotWorthRetrying, match=words) as caught:
        decode(data, encoding, "here")
    assert "0x00" not in "".join(traceback.format_exception(caught.value))


def test_the_text_itself_is_overwritten_once_it_was_decoded() -> None:
    text = bytearray(base64.b64encode(MATERIAL))
    decode(text, "base64", "here")
    assert text == b""


def test_names_are_filled() -> None:
    wanted = Wanted(KEY, "m1")
    name = "{account}/{region}/{key_id}/{material_id}/{arn}/{{x}}"
    assert fill(name, wanted) == f"{ACCOUNT}/{REGION}/{KEY_ID}/m1/{ARN}/{{x}}"
    assert Model.model_validate({"names": "kms/{key_id}"}).names == ["kms/{key_id}"]


def test_a_name_with_a_materials_id_is_tried_only_where_that_is_known() -> None:
    names = ["{key_id}.{material_id}", "{key_id}"]
    assert filled(names, Wanted(KEY, "m1")) == [f"{KEY_ID}.m1", KEY_ID]
    assert filled(names, Wanted(KEY)) == [KEY_ID]


@pytest.mark.parametrize(
    "name", ["{key}", "{0}", "{}", "{key_id!r}", "{key_id:>9}", "{key_id.x}", "{key_id", "}", ""]
)
def test_a_name_with_another_placeholder_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"names": name})


def test_a_wanted_material_reads_well() -> None:
    assert str(Wanted(KEY)) == ARN
    assert str(Wanted(KEY, "0123456789abcdef")) == f"material 0123456789ab of {ARN}"
