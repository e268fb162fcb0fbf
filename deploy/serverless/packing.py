"""Makes the zip: gathers our wheel and the packages, compiles all of it, and writes the same bytes each time."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from deploy.serverless.contents import entry_points, headers, newest_models, ours, place, services

ROOT: Final = Path(__file__).parents[2]
REQUIREMENTS: Final = ROOT / "requirements" / "serverless.txt"
ARCHITECTURES: Final = {"arm64": "aarch64", "x86_64": "x86_64"}
"""As AWS Lambda calls them, and as wheels do."""
GLIBC: Final = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")
"""What Amazon Linux 2023 runs, which is below Lambda's Pythons since 3.12; it has glibc 2.34 (AWS Lambda developer
guide, "Lambda runtimes"). Python 3.11 is on Amazon Linux 2 with 2.26, and gets no `manylinux_2_28`."""
OLD_GLIBC: Final = "3.11"
TASK_ROOT: Final = "/var/task"
"""Where Lambda unpacks it (AWS Lambda developer guide, "Defined runtime environment variables")."""
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can name."""


class CannotPack(Exception):
    """Something that the zip needs is not there; says what."""


def interpreter(version: str) -> Path:
    """A Python of that version, such as 3.13: the one that runs this, on the path, or of pyenv."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    candidates = [Path(sys.executable)] if version == here else []
    if found := shutil.which(f"python{version}"):
        candidates.append(Path(found))
    candidates += sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for one in candidates:
        # A pyenv shim is found and yet does not run.
        said = run([str(one), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], may=True)
        if said is not None and said.strip() == version:
            return one
    raise CannotPack(
        f"no Python {version} here: modules are compiled by the Python that runs them; install it, or "
        "choose another with --python"
    )


def run(command: list[str], *, may: bool = False, **more: str) -> str | None:
    """What a command printed. Raises `CannotPack` if it fails; None instead if it `may`."""
    try:
        result = subprocess.run(
            command, cwd=ROOT, env=os.environ | more, capture_output=True, text=True, check=False
        )
    except OSError as error:
        result = subprocess.CompletedProcess(command, 1, "", str(error))
    if result.returncode == 0:
        return result.stdout
    if may:
        return None
    raise CannotPack(f"{' '.join(command[:4])} ...: {result.stderr.strip()[-2000:]}")


def install(target: Path, wheels: Path, version: str, architecture: str) -> None:
    """The packages, each with the hash that the requirements name. `wheels` keeps what was downloaded."""
    kinds = [one for one in GLIBC if version != OLD_GLIBC or one != "manylinux_2_28"]
    platforms = [f"--platform={one}_{ARCHITECTURES[architecture]}" for one in kinds]
    chosen = [
        *("--no-deps", "--only-binary=:all:", "--require-hashes", "--implementation=cp"),
        *(f"--python-version={version}", *platforms, "-r", str(REQUIREMENTS)),
    ]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels.mkdir(parents=True, exist_ok=True)
    kept = ["install", "--no-index", "--find-links", str(wheels), "--no-compile"]
    place_of = ["--target", str(target), *chosen]
    if run([*pip, *kept, *place_of], may=True) is None:
        run([*pip, "download", "--dest", str(wheels), *chosen])
        shutil.rmtree(target, ignore_errors=True)
        run([*pip, *kept, *place_of])


def build_wheel(folder: Path) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    run(command, SOURCE_DATE_EPOCH="1700000000")
    return next(folder.glob("*.whl"))


def gather(tree: Path, scratch: Path, wheels: Path, version: str, architecture: str) -> None:
    """All that the zip holds, as files below `tree`, not compiled yet."""
    with zipfile.ZipFile(build_wheel(scratch / "wheel")) as wheel:
        for name in filter(ours, wheel.namelist()):
            content = wheel.read(name)
            if name.endswith("entry_points.txt"):
                content = entry_points(content.decode()).encode()
            if name.endswith("METADATA"):
                content = headers(content.decode()).encode()
            put(tree / name, content)
    called = services(sorted((tree / "monitor").rglob("*.py")))
    packages = scratch / "packages"
    install(packages, wheels, version, architecture)
    there = (one.relative_to(packages).as_posix() for one in files(packages))
    for name in newest_models(there):
        if (where := place(name, called)) is not None:
            put(tree / where, (packages / name).read_bytes())


def put(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def files(folder: Path) -> Iterator[Path]:
    return (one for one in sorted(folder.rglob("*")) if one.is_file())


def compile_all(tree: Path, python: Path) -> None:
    """Lambda cannot write what it compiles, so that each cold start would compile everything anew.

    `unchecked-hash`: neither times nor sources are looked at when it is loaded.
    """
    where = ["-s", str(tree), "-p", TASK_ROOT, "--invalidation-mode", "unchecked-hash"]
    command = [str(python), "-I", "-m", "compileall", "-q", "-j", "1", *where, str(tree)]
    run(command, PYTHONHASHSEED="0")


def write(tree: Path, target: Path) -> None:
    """In the order of names, without times and without what the umask says."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for name in sorted(one.relative_to(tree).as_posix() for one in files(tree)):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            made.writestr(entry, (tree / name).read_bytes(), compresslevel=9)
