"""What people name as a source, and the inputs that it stands for."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from monitor.errors import SettingsError
from monitor.replay.times import Span, worth_opening

LOG_FILE = re.compile(r".+\.(json|jsonl|ndjson)(\.gz)?", re.IGNORECASE)
LOOKUP = re.compile(r"lookup(?::(?P<account>[0-9]{12})/(?P<region>[a-z]{2}(?:-[a-z]+)+-\d))?")
BUCKET = re.compile(r"s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(?P<prefix>.*))?")
STDIN = "-"


class Local(msgspec.Struct, frozen=True):
    """A file, a folder, or `-`."""

    path: str


class Bucket(msgspec.Struct, frozen=True):
    name: str
    prefix: str


class History(msgspec.Struct, frozen=True):
    """CloudTrail's event history: of one place, or of all that are allowed."""

    account: str = ""
    region: str = ""


Source = Local | Bucket | History


class Input(msgspec.Struct, frozen=True):
    """One thing that is read at once, and that a resumed run need not read again."""

    name: str
    """For people, and unique: a path, `s3://bucket/key`, or `lookup:ACCOUNT/REGION EVENTNAME` (or a service)."""
    stamp: str = ""
    """Changes when its content does; empty if nothing can tell, so that it is always read."""
    size: int = 0
    path: str = ""
    bucket: str = ""
    key: str = ""
    account: str = ""
    region: str = ""
    event: tuple[str, str] = ("", "")
    """For the history: eventSource and eventName; without a name, all that is of the source."""

    @property
    def source(self) -> str:
        """What the report says an event was read from."""
        return f"lookup:{self.account}/{self.region}" if self.account else self.name


def parse_source(text: str) -> Source:
    """Raises `SettingsError` where it is none, or is not there."""
    if match := LOOKUP.fullmatch(text):
        return History(match["account"] or "", match["region"] or "")
    if match := BUCKET.fullmatch(text):
        return Bucket(match["bucket"], match["prefix"] or "")
    if text.startswith(("lookup:", "s3:")):
        form = "lookup:111122223333/eu-west-1" if text[0] == "l" else "s3://bucket/prefix"
        raise SettingsError([f"{text}: must have the form {form}"])
    if text != STDIN and not Path(text).exists():
        raise SettingsError([f"{text}: there is no such file or folder"])
    return Local(text)


def local_inputs(source: Local, span: Span) -> Iterator[Input]:
    """The files that a path stands for, in order. What cannot be listed raises OSError.

    Standard input is not for here: it has to be written into a file first.
    """
    if not Path(source.path).is_dir():
        yield file_input(source.path)
        return

    def fail(error: OSError) -> None:
        raise error

    for folder, folders, files in os.walk(source.path, onerror=fail):
        folders[:] = sorted(
            name
            for name in folders
            if worth_opening(f"{folder}/{name}/".replace(os.sep, "/"), span)
        )
        for name in sorted(files):
            if LOG_FILE.fullmatch(name):
                yield file_input(str(Path(folder) / name))


def file_input(path: str) -> Input:
    try:
        found = Path(path).stat()
    except OSError:  # gone or barred: reading it will say so
        return Input(path, path=path)
    stamp = f"{found.st_size} {found.st_mtime_ns}"
    # By its absolute path: a run is resumed from wherever.
    return Input(path, stamp, found.st_size, path=str(Path(path).absolute()))
