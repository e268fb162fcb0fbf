"""The zip of the serverless form for this machine, by the Python that it is made for, or else by ours."""

import os
import platform
import sys
from pathlib import Path

import pytest

from deploy.serverless.__main__ import PYTHON, make
from deploy.serverless.packing import ARCHITECTURES, ROOT, CannotPack, interpreter
from tests.real.services import REQUIRED

WHEELS = ROOT / "dist" / "wheels"
"""What was downloaded once; `make lambda-zip` has them there, too."""
HERE = next((one for one, wheel in ARCHITECTURES.items() if wheel == platform.machine()), "")


def python_of_it() -> tuple[str, Path]:
    """The version that it is built for, and that Python; ours where the machine has no other."""
    try:
        return PYTHON, interpreter(PYTHON)
    except CannotPack:
        ours = f"{sys.version_info.major}.{sys.version_info.minor}"
        return ours, Path(sys.executable)


def built(folder: Path) -> Path:
    if not HERE:
        pytest.skip(f"AWS Lambda has no {platform.machine()}")
    version, python = python_of_it()
    try:
        return make(folder, WHEELS, python, version, HERE)
    except CannotPack as error:
        if os.environ.get(REQUIRED) == "required":
            raise
        pytest.skip(f"cannot be built here: {error}")
