"""What `kms-monitor material` remembers: fingerprints of imported material, and used tokens.

A file of JSON, so that it can be copied to where `verify` runs. A fingerprint is recorded only after
KMS has taken the material: that proves it to be the key's. Nothing in it is secret.
"""

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from monitor.errors import SettingsError

TOKEN_DAYS = 30
"""How long a used token is remembered; KMS takes it for one day."""


class Known(msgspec.Struct, frozen=True):
    """Material that KMS has taken."""

    key: str
    """The key's ARN."""
    material_id: str
    """"" for all but symmetric keys."""
    sha256: str
    at: float


class Used(msgspec.Struct, frozen=True):
    """A token that cannot be used again."""

    sha256: str
    key: str
    at: float


class Book(msgspec.Struct):
    known: list[Known] = []
    used: list[Used] = []

    def of(self, key: str, material_id: str) -> Known | None:
        """By the material's id, which related multi-Region keys share; else by the key's ARN."""
        for one in reversed(self.known):
            same = one.material_id == material_id if material_id else one.key == key
            if same:
                return one
        return None

    def use_of(self, token: bytes) -> Used | None:
        digest = hashlib.sha256(token).hexdigest()
        return next((one for one in self.used if one.sha256 == digest), None)


class Records:
    """The file. Raises `SettingsError` where it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Book:
        """An empty book where there is no file yet."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Book)
        except FileNotFoundError:
            return Book()
        except OSError as error:
            raise self.fault(f"cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self.fault(f"is not what kms-monitor wrote: {error}") from error

    def check(self) -> None:
        """Whether it can be written: better to know before KMS was asked for anything."""
        with self.changing():
            pass

    def note(self, known: Known) -> None:
        with self.changing() as book:
            same = (known.key, known.material_id)
            book.known = [one for one in book.known if (one.key, one.material_id) != same]
            book.known.append(known)

    def use(self, token: bytes, key: str, at: float) -> None:
        with self.changing() as book:
            book.used = [one for one in book.used if one.at > at - TOKEN_DAYS * 86400]
            book.used.append(Used(hashlib.sha256(token).hexdigest(), key, at))

    @contextmanager
    def changing(self) -> Iterator[Book]:
        """The book, written at the end; one process at a time."""
        try:
            with self.path.with_name(f"{self.path.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                book = self.read()
                yield book
                new = self.path.with_name(f"{self.path.name}.new")
                new.write_bytes(msgspec.json.format(msgspec.json.encode(book)))
                new.chmod(0o600)
                new.replace(self.path)
        except OSError as error:
            raise self.fault(f"cannot be written: {error.strerror}") from error

    def fault(self, problem: str) -> SettingsError:
        return SettingsError([f"material.records: {self.path} {problem}"])
