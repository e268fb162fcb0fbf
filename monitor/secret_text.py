"""A secret that the settings name by file or variable, and never hold. Read anew each time it is used."""

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from monitor.errors import NotWorthRetrying, WorthRetrying

LARGEST = 16 * 1024
SecretFile = Annotated[
    Path | None, Field(description="File that holds it; white space around it is ignored.")
]
SecretVariable = Annotated[
    str | None,
    Field(
        pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$",
        description="Environment variable that holds it.",
    ),
]


def one_of(name: str, file: Path | None, variable: str | None) -> None:
    """Raise ValueError unless just one of both is there. `name`: of the pair, such as `token`."""
    if (file is None) == (variable is None):
        raise ValueError(f"either {name}_file or {name}_env must be there")


def read_secret(file: Path | None, variable: str | None) -> str:
    """Printable ASCII on one line. Raises `NotWorthRetrying`, and `WorthRetrying` while there is no file.

    No error holds any of it.
    """
    if file is not None:
        try:
            text = file.read_bytes()[:LARGEST].decode("ascii", "replace").strip()
        except FileNotFoundError:
            raise WorthRetrying(f"{file} is not there") from None
        except OSError as error:
            raise NotWorthRetrying(f"{file} cannot be read: {error.strerror}") from None
        where = str(file)
    else:
        where = f"the variable {variable}"
        text = os.environ.get(variable or "", "").strip()
    if not text or not text.isascii() or not text.isprintable():
        raise NotWorthRetrying(f"{where} does not hold a secret on one line")
    return text
