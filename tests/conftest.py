"""Shared fixtures: plugins come from folders that a test writes, not from what is installed."""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib.metadata
import os
import subprocess
import sys
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
import typer.main
import typer.testing
from tiny_run import install, write_distribution

pytest.register_assert_rewrite("campaign")
# Typer makes all commands again, in 50 ms, each time that one is called: a user's process calls one, and a test some.
typer.main.get_command = typer.testing._get_command = functools.cache(typer.main.get_command)
gc.disable()  # until all is imported, of which nothing becomes garbage: jax is called after each collection
# It says how wide tables in a pipe are. Readline, which pytest imports, sets it for child processes only.
os.environ.pop("COLUMNS", None)
os.unsetenv("COLUMNS")
# No test loses power. Waiting for the disk took a twentieth of the time.
os.fsync = lambda descriptor: None
TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial" / "fer-bench-edges"
WritePlugin = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put modules with slow tests at the beginning of both halves, with which the two processes of the suite begin.

    What they take from one another at the end is quick then, and no process waits long for the other. Modules stay
    whole, so that few of their fixtures are made in both.
    """
    modules, slow = defaultdict(list), Counter()
    for item in items:
        modules[item.path].append(item)
        slow[item.path] += item.get_closest_marker("slow") is not None
    first = [modules.pop(path) for path, count in slow.most_common() if count]
    quick = [item for module in modules.values() for item in module]
    one, other = ([item for module in first[start::2] for item in module] for start in (0, 1))
    room = max(0, len(items) // 2 - len(one))
    items[:] = [*one, *quick[:room], *other, *quick[room:]]


def pytest_collection_finish() -> None:
    """Let collections of garbage pass over what stays to the end, and be fewer: they took a twentieth of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site folder that is the only place where entry points are looked for."""
    folder = tmp_path / "site"
    folder.mkdir()
    real = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: real(path=[str(folder)]))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("FER_BENCH_PLUGINS", raising=False)
    return folder


@pytest.fixture
def write_plugin(site: Path, monkeypatch: pytest.MonkeyPatch) -> WritePlugin:
    """Return a function that installs a plugin: a module and its dist-info."""

    def write(name: str, code: str, *, module: str = "", version: str = "1.0", distribution: str = "") -> Path:
        file = write_distribution(site, name, code, module=module, version=version, distribution=distribution)
        monkeypatch.delitem(sys.modules, file.stem, raising=False)
        return file

    return write


@pytest.fixture
def tiny(write_plugin: WritePlugin, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the tiny plugin and give it folders of its own."""
    install(site)
    for module in ("tiny", "tiny_data"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setenv("FER_BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = """
    from fer_bench import hookimpl
    from fer_bench.testing.tiny import SPEC

    @hookimpl
    def fer_bench_backbones():
        return [SPEC]
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Install the backbone ``tiny`` beside what is installed: XLA compiles it in a tenth of mini-Xception's time."""
    folder = tmp_path_factory.mktemp("small")
    write_distribution(folder, "small", SMALL)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield


@pytest.fixture
def readable_only() -> Callable[[Path], AbstractContextManager[None]]:
    """Return a context in which a folder and what lies in it can only be read, even where tests run as root."""
    if os.name != "posix" or (os.geteuid() == 0 and sys.platform != "linux"):
        pytest.skip("needs POSIX's permissions, and of root Linux's capabilities")

    @contextmanager
    def protect(folder: Path) -> Iterator[None]:
        modes = {file: file.stat().st_mode for file in (folder, *folder.rglob("*"))}
        for file, mode in modes.items():
            file.chmod(mode & ~0o222)
        try:
            with obeying_permissions() if os.geteuid() == 0 else nullcontext():
                yield
        finally:
            for file, mode in modes.items():
                file.chmod(mode)

    return protect


@contextmanager
def obeying_permissions() -> Iterator[None]:
    """Let permissions bind root as they bind others: without the capabilities DAC_OVERRIDE and DAC_READ_SEARCH."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # the structures' third version, this thread
    usual = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
    assert libc.capget(header, usual) == 0
    bound = (ctypes.c_uint32 * 6)(*usual)
    bound[0] &= ~0b110
    assert libc.capset(header, bound) == 0
    try:
        yield
    finally:
        assert libc.capset(header, usual) == 0


@pytest.fixture(scope="session")
def edges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel of the tutorial's plugin is unpacked, as an installer would."""
    folder = tmp_path_factory.mktemp("edges")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=TUTORIAL, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.startswith("tests")]
        archive.extractall(folder / "site")
    return folder / "site"
