"""Key material in files of a folder, such as a mounted Kubernetes secret.

Only a file that nobody else can read is believed to be a secret. It is opened once and then looked
at, so that it cannot be exchanged in between; symbolic links are followed, for a Kubernetes mount is
made of them.
"""

import asyncio
import os
import stat
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, Field

from monitor.errors import NotWorthRetrying, WorthRetrying
from monitor.escrow import LARGEST, Encoding, EncodingOption, Names, Secret, Wanted, decode, filled
from monitor.plugins import Services


class FileOptions(BaseModel, extra="forbid"):
    folder: Path = Field(description="The folder with one file for each material.")
    names: Names = Field(
        ["{key_id}.{material_id}", "{key_id}"],
        description="The files' names, tried in turn. Placeholders: account, arn, key_id, "
        "material_id, region. One with material_id is for keys with several materials.",
    )
    encoding: EncodingOption = "raw"


class FileEscrow:
    name: ClassVar[str] = "file"
    Options: ClassVar[type[BaseModel]] = FileOptions

    def __init__(self, options: FileOptions, _services: Services) -> None:
        self.options = options

    async def fetch(self, wanted: Wanted) -> Secret | None:
        for name in filled(self.options.names, wanted):
            path = self.options.folder / name
            # In a thread: the folder may be a network's.
            secret = await asyncio.to_thread(read_secret, path, self.options.encoding)
            if secret is not None:
                return secret
        return None


def read_secret(path: Path, encoding: Encoding) -> Secret | None:
    """The material in a file; None where there is no such file.

    Raises `NotWorthRetrying`, and `WorthRetrying` where the file cannot be read for now.
    """
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        raise NotWorthRetrying(f"{path} cannot be read: {error.strerror}") from error
    except OSError as error:
        raise WorthRetrying(f"{path} cannot be read: {error.strerror}") from error
    data = bytearray(LARGEST + 1)
    try:
        if fault := weakness(os.fstat(descriptor)):
            raise NotWorthRetrying(f"{path} {fault}")
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            length = file.readinto(data)
    except OSError as error:
        raise WorthRetrying(f"{path} cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    del data[length or 0 :]
    return decode(data, encoding, str(path))


def weakness(found: os.stat_result) -> str:
    """Why a file is no place for a secret; "" where it is.

    A group may read only what root owns and one of our groups is meant to read: so Kubernetes
    mounts a secret for a user who is not root (`fsGroup`).
    """
    if not stat.S_ISREG(found.st_mode):
        return "is not a file"
    if found.st_uid not in {0, os.geteuid()}:
        return f"belongs to user {found.st_uid}, who is neither us nor root"
    mode = stat.S_IMODE(found.st_mode)
    for_our_group = found.st_uid == 0 and found.st_gid in {os.getegid(), *os.getgroups()}
    if mode & 0o007 or mode & (0o020 if for_our_group else 0o070):
        return f"can be read or written by others (mode {mode:04o}); chmod go-rwx"
    return ""
