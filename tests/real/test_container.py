"""The daemon as a container runs it: an arbitrary user, a read-only root, loopback alone, process 1.

Once without an image, with this very tree, and once in the image that the Dockerfile makes, built by
buildah on a base that is made here, for no base image can be pulled in a test.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pip
import pytest

from tests.real.services import REQUIRED, require

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _as_root() -> None:
    require("unshare")
    require("setpriv")
    if os.geteuid() != 0:
        reason = "only root can make the namespaces and mounts of a container"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(reason)
        pytest.skip(reason)


def contained(scratch: Path, *arguments: str) -> dict[str, Any]:
    """What `tests.real.contained` found out, in namespaces of its own."""
    done = subprocess.run(
        [
            *(require("unshare"), "--mount", "--net", "--kill-child", "--fork"),
            *(sys.executable, "-m", "tests.real.contained", "--scratch", str(scratch), *arguments),
        ],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check(found: dict[str, Any]) -> None:
    log = found["log"]
    assert found["key"] == "Enabled", log
    assert found["health"] == 0, log
    assert set(found["uids"]) == {"1000650000"}
    assert set(found["groups"]) <= {"0"}
    assert found["capabilities"] == "0000000000000000"
    assert found["no_new_privileges"] == "1"
    assert found["as_process"] == "1"
    assert found["interfaces"] == ["lo"]
    assert found["exit"] == 0, log
    assert found["stop_seconds"] < 25
    # Before there is a loop, and not only once there is one.
    assert (found["early_exit"], found["early_log"]) == (0, "")
    assert found["rss_mib"] < 256, "more than the chart asks for"
    # SQLite's file and what belongs to it; nothing else is written, and nothing at all into /tmp.
    assert {name.partition("-")[0] for name in found["written"]} <= {"state.db", "state.db.users"}
    assert found["in_tmp"] == []


def test_the_entry_point_bears_the_constraints_of_a_pod(tmp_path: Path) -> None:
    trees = ["/usr", "/lib", "/lib64", "/bin", sys.base_prefix, sys.prefix, str(ROOT)]
    there = [one for one in dict.fromkeys(trees) if Path(one).is_dir()]
    program = str(Path(sys.executable).with_name("kms-monitor"))
    check(contained(tmp_path, *(f"--tree={one}" for one in there), "--", program))


def test_the_image_is_built_and_bears_them_too(tmp_path: Path) -> None:
    image = Image(tmp_path)
    image.build()
    config = image.config()
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["kms-monitor"]
    assert config["StopSignal"] == "SIGTERM"
    assert config["Labels"]["org.opencontainers.image.revision"] == "0123abc"
    assert config["Labels"]["org.opencontainers.image.base.name"] == BASE
    with image.mounted() as root:
        # No pip, nothing of the build, and nothing that a shell is needed for.
        assert not list((root / "opt/kms-monitor").rglob("pip"))
        assert list((root / "opt/kms-monitor").rglob("__pycache__"))
        assert not (root / "src").exists()
        for one in ("sh", "dash", "bash"):
            (root / "usr/bin" / one).unlink(missing_ok=True)
        check(contained(tmp_path, f"--image={root}", "--", "/opt/kms-monitor/bin/kms-monitor"))


BASE = "localhost/python-of-this-machine:latest"


class Image:
    """The image of the Dockerfile, in a storage of its own."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        storage = scratch / "storage"
        self.command = [
            *(require("buildah"), "--storage-driver", "vfs", "--root", str(storage / "root")),
            *("--runroot", str(storage / "run")),
        ]

    def buildah(self, *arguments: str | Path) -> str:
        done = subprocess.run(
            [*self.command, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.scratch)},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout.strip()

    def build(self) -> None:
        self.make_base()
        self.buildah(
            *(
                "build",
                "--pull=never",
                "--layers=false",
                "--format",
                "docker",
                "--tag",
                "kms-monitor",
            ),
            *("--build-arg", f"PYTHON_IMAGE={BASE}", "--build-arg", "REVISION=0123abc", ROOT),
        )

    def make_base(self) -> None:
        """From this machine's Python, and the few programs that the Dockerfile's steps call."""
        root = self.scratch / "base"
        copy_python(root)
        container = self.buildah("from", "scratch")
        self.buildah("copy", "--quiet", container, root, "/")
        for name in ("PIP_CERT", "PIP_INDEX_URL", "PIP_DEFAULT_TIMEOUT"):
            if name in os.environ:
                self.buildah("config", "--env", f"{name}={os.environ[name]}", container)
        self.buildah("config", "--env", f"PATH={sys.base_prefix}/bin:/usr/bin:/bin", container)
        self.buildah("commit", "--quiet", "--rm", container, BASE)
        shutil.rmtree(root)

    def config(self) -> dict[str, Any]:
        said = json.loads(self.buildah("inspect", "--type", "image", "kms-monitor"))
        found: dict[str, Any] = said["Docker"]["config"]
        return found

    @contextmanager
    def mounted(self) -> Iterator[Path]:
        container = self.buildah("from", "--pull=never", "kms-monitor")
        yield Path(self.buildah("mount", container))


def copy_python(root: Path) -> None:
    """This Python with pip, a shell and the like, and all the libraries that they are linked with."""
    home = Path(sys.base_prefix)
    python = (home / "bin" / "python3").resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    for name in ("bin", "lib", "lib64"):
        if Path("/", name).is_symlink():  # as Debian has them
            (root / "usr" / name).mkdir(parents=True)
            (root / name).symlink_to(f"usr/{name}")
    programs = [python, *(Path(require(one)) for one in ("sh", "mkdir", "chmod", "rm"))]
    for one in programs:
        copy(one, root)
    leave_out = shutil.ignore_patterns(
        *("site-packages", "dist-packages", "test", "idlelib", "tkinter", "ensurepip", "config-*"),
        *("__pycache__", "*.a"),
    )
    shutil.copytree(standard, inside(root, standard), ignore=leave_out, symlinks=True)
    packages = inside(root, standard) / "site-packages"
    if python.is_relative_to("/usr/bin"):  # Debian's
        packages = root / "usr/lib/python3/dist-packages"
    shutil.copytree(Path(pip.__file__).parent, packages / "pip")
    extensions = list((standard / "lib-dynload").glob("*.so"))
    libraries = linked_with([*programs, *extensions])
    for library in libraries:
        copy(library, root)
    # What wheels may count on besides (manylinux).
    glibc = next(one for one in libraries if one.name == "libc.so.6").parent
    for name in ("dl.so.2", "gcc_s.so.1", "m.so.6", "pthread.so.0", "rt.so.1", "stdc++.so.6"):
        if (glibc / f"lib{name}").exists():
            copy(glibc / f"lib{name}", root)
    (inside(root, home) / "bin" / "python").symlink_to(python)
    (root / "tmp").mkdir(mode=0o1777)
    bundle = os.environ.get("PIP_CERT")
    if bundle:
        copy(Path(bundle), root)


def linked_with(files: list[Path]) -> set[Path]:
    said = subprocess.run(
        [require("ldd"), *map(str, files)], capture_output=True, text=True, check=False
    ).stdout
    return {Path(one) for one in re.findall(r"(?:=> |^\t)(/\S+) \(0x", said, re.MULTILINE)}


def inside(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")


def copy(path: Path, root: Path) -> None:
    """A file at its own place, and at the one that it leads to."""
    for one in (path, path.resolve()):
        inside(root, one).parent.mkdir(parents=True, exist_ok=True)
        if not inside(root, one).exists():
            shutil.copy2(one, inside(root, one))
