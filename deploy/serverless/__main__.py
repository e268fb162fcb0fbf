"""`make lambda-zip`: the zip of the serverless form, for each architecture, with its sizes and its cold start.

Byte by byte the same each time: from the same tree, requirements/serverless.txt and version of Python.
"""

import argparse
import hashlib
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table

from deploy.serverless.packing import (
    ARCHITECTURES,
    ROOT,
    CannotPack,
    compile_all,
    gather,
    interpreter,
    write,
)

PYTHON: Final = "3.13"
"""Of Lambda's runtimes the newest that this project is tested on (AWS Lambda developer guide, "Lambda runtimes")."""
MOST: Final = 20_000_000
"""Bytes of a zip. Lambda itself takes 50 MB that are not uploaded to S3."""
SHOWN: Final = 100_000
"""Bytes of a package in the zip that has a line of its own."""
STARTS: Final = 5
IMPORTED: Final = "monitor.serverless.entry"


def main() -> int:
    asked = words()
    console = Console(width=100)
    try:
        python = interpreter(asked.python)
        for architecture in asked.architecture or ARCHITECTURES:
            made = make(asked.output, asked.wheels, python, asked.python, architecture)
            console.print(sizes(made))
            sum_of = hashlib.sha256(made.read_bytes()).hexdigest()
            print(f"{made.name}: {made.stat().st_size / 1e6:.1f} MB, sha256 {sum_of}")
            if ARCHITECTURES[architecture] == platform.machine() and not asked.quick:
                print(cold_start(made, python))
    except CannotPack as error:
        print(f"lambda-zip: {error}", file=sys.stderr)
        return 1
    return 0


def words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deploy.serverless", description=__doc__)
    parser.add_argument("--architecture", action="append", choices=list(ARCHITECTURES))
    parser.add_argument("--python", default=PYTHON, help="the runtime's version, such as 3.13")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--wheels", type=Path, default=ROOT / "dist" / "wheels", metavar="FOLDER")
    parser.add_argument("--quick", action="store_true", help="do not measure the cold start")
    return parser.parse_args()


def make(output: Path, wheels: Path, python: Path, version: str, architecture: str) -> Path:
    """The zip for one architecture. Raises `CannotPack`."""
    target = output.resolve() / f"kms-monitor-python{version}-{architecture}.zip"
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        gather(tree, Path(folder), wheels.resolve(), version, architecture)
        compile_all(tree, python)
        write(tree, target)
    if (size := target.stat().st_size) > MOST:
        raise CannotPack(f"{target.name}: {size} bytes are more than {MOST}")
    return target


def sizes(made: Path) -> Table:
    """Package by package, what it takes in the zip and unpacked."""
    packed: Counter[str] = Counter()
    unpacked: Counter[str] = Counter()
    with zipfile.ZipFile(made) as archive:
        for one in archive.infolist():
            package = one.filename.partition("/")[0].partition(".")[0]
            packed[package] += one.compress_size
            unpacked[package] += one.file_size
    table = Table("package", "MB in the zip", "MB unpacked", title=made.name)
    small = [name for name, size in packed.items() if size < SHOWN]
    for name, size in packed.most_common():
        if name not in small:
            table.add_row(name, f"{size / 1e6:.2f}", f"{unpacked[name] / 1e6:.2f}")
    rest = [sum(one[name] for name in small) / 1e6 for one in (packed, unpacked)]
    table.add_row(f"{len(small)} smaller ones", *(f"{one:.2f}" for one in rest))
    table.add_row("all", *(f"{sum(one.values()) / 1e6:.2f}" for one in (packed, unpacked)))
    return table


def cold_start(made: Path, python: Path) -> str:
    """How long the import takes from the unpacked zip, beside that of aiobotocore alone."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(made) as archive:
            archive.extractall(folder)
        base, ours = seconds(("aiobotocore.session", IMPORTED), Path(folder), python)
    return (
        f"import of {IMPORTED} at a cold start: {ours * 1000:.0f} ms, {ours / base:.2f} times that of "
        f"aiobotocore alone ({base * 1000:.0f} ms; medians of {STARTS}, here)"
    )


def seconds(modules: Sequence[str], folder: Path, python: Path) -> list[float]:
    """Medians of some first imports, each in a process of its own with nothing but the zip.

    In turns, so that whatever else the machine does slows all of them down.
    """
    times = [[first_import(one, folder, python) for one in modules] for _ in range(STARTS)]
    return [statistics.median(some) for some in zip(*times, strict=True)]


def first_import(module: str, folder: Path, python: Path) -> float:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); began = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - began)"
    )
    said = subprocess.run(
        [str(python), "-I", "-B", "-c", code, str(folder)],
        env={"PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode:
        raise CannotPack(f"{module} cannot be imported from the zip: {said.stderr[-2000:]}")
    return float(said.stdout)


if __name__ == "__main__":
    sys.exit(main())
