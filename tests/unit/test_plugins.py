"""Plugins of others: found, compared with the contract, and left out where they are broken.

In scope: `monitor.plugins`, `monitor.shelf`, `monitor.local_plugins`, `monitor.plugin_contract`,
`monitor.foreign`, and `monitor.assembly` as far as it loads. Distributions are real ones, written
into `tmp_path` and put on `sys.path`; so are folders and their files.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from monitor import foreign, plugins
from monitor.assembly import load, make_escrows, make_responders
from monitor.detection import Detection
from monitor.detector import Detector
from monitor.errors import PluginError, SettingsError
from monitor.escrow import Wanted
from monitor.knowledge import Knowledge
from monitor.local_plugins import read_folders
from monitor.metrics import Metrics
from monitor.plugin_contract import faults_of
from monitor.plugins import Loaded
from monitor.settings_file import read_settings
from monitor.shelf import Shelf
from monitor.testing import check_escrow, event, services
from tests.samples import ACCOUNT, KEY, REGION

GOOD = """\
from typing import ClassVar
from pydantic import BaseModel
from monitor.detector import KMS, About, Base
from monitor.finding import Kind, Severity

class Options(BaseModel, extra="forbid"):
    prefix: str = "alias/"

class AliasDeleted(Base[Options]):
    name: ClassVar = "alias_gone"
    title: ClassVar = "KMS alias deleted"
    about: ClassVar = About(
        description="An alias is gone.", severity="medium", techniques=(), false_positives=(),
        advice=("Make it again.",), references=(),
    )
    events: ClassVar = frozenset({(KMS, "DeleteAlias")})
    Options: ClassVar = Options

    def inspect(self, event):
        yield self.finding(event, self.title, Severity.MEDIUM, kind=Kind.NOTICE)
"""
RESPONDER = """\
from monitor.decision import Action, Outcome
from monitor.detector import NoOptions

class Pager:
    name = "pager"
    repairs = False
    aspects = frozenset()
    Options = NoOptions
    def __init__(self, options, services): pass
    async def respond(self, decision): return Action("pager", Outcome.DONE)
    async def serve(self): pass
    def problem(self): return None
"""
ESCROW = """\
from monitor.detector import NoOptions
from monitor.escrow import Secret
class Safe:
    name = "safe"
    Options = NoOptions
    def __init__(self, options, services): pass
    async def fetch(self, wanted): return None if wanted.material_id else Secret(b"x")
"""
SETTINGS = f"""\
mode: observe
accounts: [{{id: "{ACCOUNT}", regions: [{REGION}]}}]
queues: [{{url: "https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/kms", region: {REGION}}}]
"""


class Site:
    """A machine where things are installed, and a folder of plugins."""

    def __init__(self, root: Path) -> None:
        self.packages = root / "site-packages"
        self.folder = root / "plugins"
        self.settings = root / "settings.yaml"
        self.packages.mkdir()
        self.folder.mkdir(mode=0o755)

    def install(self, distribution: str, text: str, kind: str = "detectors", **points: str) -> None:
        """A distribution with one module; `points` are names with the class that they lead to."""
        module = distribution.replace("-", "_")
        (self.packages / f"{module}.py").write_text(text)
        info = self.packages / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        lines = [f"{name} = {module}:{place}" for name, place in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[kms_monitor.{kind}]", *lines]) + "\n")

    def put(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def load(self, more: str) -> Loaded:
        self.settings.write_text(SETTINGS + more.replace("FOLDER", str(self.folder)))
        return load(read_settings(self.settings, {}), self.settings)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    tmp_path.chmod(0o700)
    made = Site(tmp_path)
    monkeypatch.syspath_prepend(str(made.packages))
    yield made
    for name in [one for one in sys.modules if one.startswith(("acme_", "monitor_local_"))]:
        del sys.modules[name]


def told(loaded: Loaded) -> list[tuple[str, str, str]]:
    return [(one.kind, one.name, one.origin) for one in loaded.broken]


def test_a_distribution_is_found_and_runs_only_if_it_is_named(site: Site) -> None:
    site.install("acme-good", GOOD, alias_gone="AliasDeleted")
    assert "alias_gone" not in site.load("").detectors
    loaded = site.load("detectors: {alias_gone: {prefix: alias/x}}\n")
    assert loaded.broken == []
    assert plugins.origins(loaded.detectors)["alias_gone"] == "acme-good"
    made = plugins.make_all(loaded.detectors, Knowledge(), [])
    assert isinstance(made["alias_gone"], Detector)
    seen = Detection(made.values(), Metrics()).inspect(event(eventName="DeleteAlias"))
    assert "alias_gone" in [one.detector for one in seen.findings]


def test_wrong_options_and_unknown_names_are_faults_of_the_settings(site: Site) -> None:
    site.install("acme-options", GOOD, alias_gone="AliasDeleted")
    with pytest.raises(SettingsError) as caught:
        site.load("detectors: {alias_gone: {prefx: x}, nobodys: }\n")
    assert len(caught.value.faults) == 2
    assert "detectors.alias_gone.prefx: there is no such setting" in caught.value.faults[0]
    assert "no such plugin is installed" in caught.value.faults[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError"),
        ("\ndef (", "SyntaxError in "),
        ("1 / 0", "ZeroDivisionError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("AliasDeleted = 5", "name is missing"),
        ("", "AttributeError"),
        (GOOD.replace("title: ClassVar", "heading: ClassVar"), "title is missing"),
        (GOOD.replace('"alias_gone"', '"other"'), "its name is 'other', not 'alias_gone'"),
        (GOOD.replace('"DeleteAlias")', '"DeleteAlias", 1)'), "events must be a set of pairs"),
        (GOOD.replace('frozenset({(KMS, "DeleteAlias")})', "frozenset()"), "never be shown"),
        (GOOD.replace(', extra="forbid"', ""), 'extra="forbid"'),
        (GOOD.replace("def inspect", "async def inspect"), "inspect must be a plain method"),
        (GOOD.replace('advice=("Make it again.",)', 'advice="x"'), "about must be"),
    ],
)
def test_what_is_broken_is_told_with_the_distributions_name_and_stops_nothing(
    site: Site, text: str, words: str
) -> None:
    site.install(f"acme-{abs(hash(text))}", text, alias_gone="AliasDeleted")
    loaded = site.load("detectors: {alias_gone: }\n")
    (broken,) = loaded.broken
    assert (broken.kind, broken.name) == ("detector", "alias_gone")
    assert broken.origin == f"acme-{abs(hash(text))}"
    assert words in broken.problem
    assert "\n" not in str(broken)
    assert "key_disabled" in loaded.detectors
    assert "alias_gone" not in loaded.detectors


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("def __init__(self, options, knowledge): raise KeyError(options.prefix)", "KeyError"),
        ("def __init__(self, options, knowledge): raise SystemExit", "SystemExit"),
        ("def __init__(self): pass", "TypeError"),
        ("def __init__(self, options, knowledge): self.events = 5", "events must be"),
        ("def __new__(cls, options, knowledge): return 5", "is missing"),
    ],
)
def test_what_throws_while_it_is_made_is_left_out(site: Site, method: str, words: str) -> None:
    name = f"acme-made-{abs(hash(method))}"
    site.install(name, GOOD + f"\n    {method}\n", alias_gone="AliasDeleted")
    loaded = site.load("detectors: {alias_gone: {prefix: hunter2}}\n")
    broken: list[PluginError] = []
    made = plugins.make_all(loaded.detectors, Knowledge(), broken)
    assert "alias_gone" not in made
    assert "key_disabled" in made
    assert (broken[0].name, broken[0].origin) == ("alias_gone", name)
    assert words in broken[0].problem
    assert "hunter2" not in broken[0].problem


def test_options_that_break_are_the_plugins_fault(site: Site) -> None:
    odd = GOOD.replace(
        '    prefix: str = "alias/"',
        "    prefix: str = 'x'\n    def model_post_init(self, _): raise KeyError('hunter2')",
    )
    site.install("acme-odd-options", odd, alias_gone="AliasDeleted")
    (broken,) = site.load("detectors: {alias_gone: }\n").broken
    assert "its Options broke: KeyError" in broken.problem
    assert "hunter2" not in broken.problem


def test_nobody_takes_the_name_of_a_built_in_one(site: Site) -> None:
    site.install(
        "acme-shadow", GOOD.replace("alias_gone", "key_disabled"), key_disabled="AliasDeleted"
    )
    loaded = site.load("")
    assert told(loaded) == [("detector", "key_disabled", "acme-shadow")]
    assert loaded.detectors["key_disabled"].source.built_in
    assert "acme_shadow" not in sys.modules


def test_of_two_with_one_name_neither_runs(site: Site) -> None:
    site.install("acme-one", GOOD, alias_gone="AliasDeleted")
    site.put("two.py", GOOD)
    loaded = site.load("plugin_folders: [FOLDER]\ndetectors: {alias_gone: }\n")
    assert told(loaded) == [("detector", "alias_gone", f"{site.folder}/two.py, acme-one")]
    assert "alias_gone" not in loaded.detectors
    # nobody asked for it: nobody has to be told
    assert site.load("plugin_folders: [FOLDER]\n").broken == []


async def test_responders_are_handled_alike(site: Site) -> None:
    site.install("acme-pager", RESPONDER, "responders", pager="Pager")
    broken_one = RESPONDER.replace("async def respond", "def respond").replace("pager", "horn")
    site.install("acme-horn", broken_one, "responders", horn="Pager")
    loaded = site.load("responders: {restore_key: , pager: , horn: }\n")
    assert told(loaded) == [("responder", "horn", "acme-horn")]
    broken: list[PluginError] = []
    made = make_responders(loaded, services(), broken)
    assert set(made) == {"restore_key", "pager"}
    assert broken == []


async def test_escrows_are_handled_alike(site: Site) -> None:
    site.install("acme-safe", ESCROW, "escrows", safe="Safe")
    site.install("acme-box", ESCROW.replace("async def", "def"), "escrows", safe_box="Safe")
    site.put("drawer.py", ESCROW.replace('"safe"', '"drawer"'))
    site.put("throws.py", ESCROW.replace('"safe"', '"throws"').replace(": pass", ": 1 / 0"))
    loaded = site.load(
        "plugin_folders: [FOLDER]\nescrows: {throws: , drawer: , safe_box: , safe: }\n"
    )
    assert told(loaded) == [("escrow", "safe_box", "acme-box")]
    broken: list[PluginError] = []
    made = make_escrows(loaded, services(), broken)
    assert list(made) == ["drawer", "safe"]  # in the order in which they are asked
    assert [(one.kind, one.name, one.problem) for one in broken] == [
        ("escrow", "throws", "cannot be made: ZeroDivisionError in throws.py, line 6")
    ]
    await check_escrow(made["safe"], {Wanted(KEY): b"x"}, lacks=Wanted(KEY, "other"))


# -- folders


def test_files_of_a_folder_need_no_packaging(site: Site) -> None:
    site.put("mine.py", GOOD + RESPONDER)
    site.put("_common.py", "1 / 0")
    site.put("notes.txt", "1 / 0")
    loaded = site.load(
        "plugin_folders: [FOLDER]\ndetectors: {alias_gone: }\nresponders: {pager: }\n"
    )
    assert loaded.broken == []
    recipe = loaded.detectors["alias_gone"]
    assert recipe.source.origin == str(site.folder / "mine.py")
    assert recipe.plugin.__module__ == "monitor_local_mine"
    assert set(loaded.responders) == {"pager"}
    assert "alias_gone" not in site.load("plugin_folders: [FOLDER]\n").detectors


def test_a_compiled_copy_is_neither_read_nor_written(site: Site) -> None:
    path = site.put("mine.py", GOOD)
    site.load("plugin_folders: [FOLDER]\n")
    assert list(site.folder.iterdir()) == [path]


def test_a_broken_file_stops_neither_the_others_nor_the_daemon(site: Site) -> None:
    site.put("bad.py", "1 / 0")
    site.put("mine.py", GOOD)
    loaded = site.load("plugin_folders: [FOLDER]\ndetectors: {alias_gone: , was_in_bad: }\n")
    assert told(loaded) == [
        ("file", "bad", str(site.folder / "bad.py")),
        ("detector", "was_in_bad", str(site.folder / "bad.py")),
    ]
    assert "ZeroDivisionError in bad.py, line 1" in loaded.broken[0].problem
    assert "alias_gone" in loaded.detectors
    assert "monitor_local_bad" not in sys.modules


@pytest.mark.parametrize(
    ("file", "folder", "words"),
    [
        (0o646, 0o755, "others may write"),
        (0o644, 0o757, "others may write"),
        (0o644, 0o755, ""),
        (0o600, 0o700, ""),
        # like /tmp: nobody can replace another one's file
        (0o644, 0o1777, ""),
        # our own group is us
        (0o664, 0o775, ""),
    ],
)
def test_what_others_may_write_is_not_imported(
    site: Site, file: int, folder: int, words: str
) -> None:
    site.put("mine.py", GOOD).chmod(file)
    site.folder.chmod(folder)
    found, broken = read_folders([site.folder])
    assert len(found) == (not words)
    assert [words in one.problem and "chmod go-w" in one.problem for one in broken] == [
        True
    ] * bool(words)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize(("user", "group", "mode"), [(12345, 0, 0o644), (0, 12345, 0o664)])
def test_what_belongs_to_others_is_not_imported(
    site: Site, user: int, group: int, mode: int
) -> None:
    path = site.put("mine.py", GOOD)
    path.chmod(mode)
    os.chown(path, user, group)
    found, broken = read_folders([site.folder])
    assert (found, len(broken)) == ([], 1)


def test_a_folder_that_is_not_there_is_a_fault_of_the_settings(site: Site) -> None:
    with pytest.raises(SettingsError, match=r"plugin_folders: .*cannot be read: No such file"):
        site.load("plugin_folders: [FOLDER/x]\n")


def test_two_files_of_one_name_are_told_apart_from_one(site: Site, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    first = site.put("mine.py", GOOD)
    (other / "mine.py").write_text(GOOD)
    found, broken = read_folders([site.folder, other])
    assert [one.file for one in found] == [str(first)]
    assert str(first) in broken[0].problem


# -- the parts


def test_the_built_in_ones_fulfil_the_contract() -> None:
    shelf = Shelf()
    assert shelf.broken == []
    for kind, sources in shelf.sources.items():
        for name, source in sources.items():
            if source.built_in:
                assert faults_of(kind, name, shelf.load(kind, name)) == []


def test_a_look_that_throws_is_a_fault() -> None:
    class Odd(type):
        @property
        def name(cls) -> Any:
            raise RuntimeError("x")

    class Plugin(metaclass=Odd):
        pass

    (fault,) = faults_of("detectors", "x", Plugin)
    assert "cannot be looked at: RuntimeError" in fault


def test_code_of_others_ends_with_its_value_or_its_error() -> None:
    assert foreign.run(lambda: 5) == foreign.Ran(5)
    ran = foreign.run(lambda: sys.exit("hunter2"))
    assert isinstance(ran.error, SystemExit)
    assert "hunter2" not in foreign.place_of(ran.error)
    assert foreign.text_of(ValueError("a\nb\x1b" + "x" * 500)).isprintable()


def test_options_are_a_model_that_refuses_what_it_does_not_know() -> None:
    class Loose(BaseModel):
        pass

    class Plugin:
        Options = Loose

    assert any("Options" in one for one in faults_of("responders", "x", Plugin))
