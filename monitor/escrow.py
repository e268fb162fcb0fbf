"""What an escrow is: a place outside KMS that has the material of imported keys.

Key material lives in a `Secret` for as long as one call lasts. A `Secret` shows nothing of what it
holds, cannot be copied by pickle, and is overwritten at the end. Copies that Python and its
libraries make on the way (the answer of an HTTP server, the argument of a cipher) cannot be
overwritten: what can be done about those is that no core dump and no traceback shows them
(`monitor.private_memory`, `monitor.logs`).
"""

import base64
import binascii
import hashlib
import string
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Protocol, Self, runtime_checkable

import msgspec
from pydantic import AfterValidator, BeforeValidator, Field

from monitor.errors import NotWorthRetrying
from monitor.key import KeyRef

LARGEST = 64 * 1024
"""Bytes. The private key of an RSA_4096 key takes less than 4,000, in hexadecimal 8,000."""
PLACEHOLDERS = frozenset({"account", "arn", "key_id", "material_id", "region"})

Encoding = Literal["raw", "base64", "hex"]
EncodingOption = Annotated[
    Encoding,
    Field(
        description="How the material is written down. raw: as it is, every byte counts, a line's "
        "end included; base64 and hex: as text, with blanks and line ends wherever they are."
    ),
]


class Secret:
    """Key material: 32 bytes of a symmetric key, PKCS #8 DER of a private one. Used in a `with`."""

    __slots__ = ("_bytes",)

    def __init__(self, data: bytes | bytearray) -> None:
        """A bytearray is taken over, and overwritten at the end."""
        self._bytes = data if isinstance(data, bytearray) else bytearray(data)

    def __len__(self) -> int:
        return len(self._bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.wipe()

    def __repr__(self) -> str:
        return f"<key material of {len(self._bytes)} bytes>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("key material is never copied")

    def __copy__(self) -> NoReturn:
        raise TypeError("key material is never copied")

    def reveal(self) -> bytes:
        """A copy of the bytes, for a cipher that takes nothing else. Do not keep it."""
        return bytes(self._bytes)

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal digits. It gives nothing away: no key's material can be guessed."""
        return hashlib.sha256(self._bytes).hexdigest()

    def wipe(self) -> None:
        """Overwrite it, and forget it."""
        self._bytes[:] = bytes(len(self._bytes))
        self._bytes.clear()


class Wanted(msgspec.Struct, frozen=True):
    """Which material is looked for."""

    key: KeyRef
    material_id: str = ""
    """`KeyMaterialId` of ListKeyRotations; "" where KMS has no such thing: for all but symmetric keys."""

    def __str__(self) -> str:
        which = f"material {self.material_id[:12]} of " if self.material_id else ""
        return f"{which}{self.key}"


@runtime_checkable
class Escrow(Protocol):
    """Has the material of imported keys. `__init__` takes its `Options` and the `Services`."""

    name: ClassVar[str]
    Options: ClassVar[type[Any]]
    """A pydantic model that refuses unknown members."""

    async def fetch(self, wanted: Wanted) -> Secret | None:
        """The material; None where this escrow has none of it.

        Raises only `WorthRetrying` and `NotWorthRetrying`, whose texts hold nothing of any material.
        """
        ...


# -- names


def check_name(text: str) -> str:
    """A name with placeholders. Raises ValueError where it has others than those that there are."""
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError("a brace is not closed; write {{ for one that is meant") from error
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            known = ", ".join(sorted(PLACEHOLDERS))
            raise ValueError(f"{{{name}}} is no placeholder; there are: {known}")
    return text


def as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(check_name)]
Names = Annotated[list[Name], BeforeValidator(as_list), Field(min_length=1, max_length=10)]
"""Tried in turn; one with `{material_id}` only where KMS says which material is missing."""


def fill(name: str, wanted: Wanted) -> str:
    """The name with its placeholders filled. Their values hold only letters, digits, `-` and `:/`."""
    key = wanted.key
    values = {
        "account": key.account,
        "arn": key.arn,
        "key_id": key.key_id,
        "material_id": wanted.material_id,
        "region": key.region,
    }
    return name.format_map(values)


def filled(names: list[str], wanted: Wanted) -> list[str]:
    """The names to try for this material, in their order."""
    usable = [one for one in names if wanted.material_id or "{material_id}" not in one]
    return [fill(one, wanted) for one in usable]


# -- encodings


def decode(data: bytes | bytearray, encoding: Encoding, where: str) -> Secret:
    """What stands in an escrow as material. Raises `NotWorthRetrying`; `where` is for its text.

    Nothing is guessed: 32 bytes of random could look like text.
    """
    fault = ""
    secret = Secret(b"")
    if len(data) > LARGEST:
        fault = f"is longer than {LARGEST} bytes"
    elif encoding == "raw":
        secret = Secret(data)
    else:
        try:
            text = b"".join(bytes(data).split())
            whole = base64.b64decode(text, validate=True) if encoding == "base64" else None
            secret = Secret(binascii.unhexlify(text) if whole is None else whole)
        except ValueError:
            # The error itself is dropped: it may quote what it could not read.
            fault = f"is not valid {encoding}; see the option `encoding`"
        if isinstance(data, bytearray):
            Secret(data).wipe()
    if not fault and not len(secret):
        fault = "is empty"
    if fault:
        raise NotWorthRetrying(f"{where} {fault}")
    return secret
