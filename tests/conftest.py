"""Shared fixtures: plugins come from folders that a test writes, not from what is installed."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tiny_run import TINY, TINY_DATA

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial" / "fer-bench-edges"
WritePlugin = Callable[..., Path]


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
        module = module or name.replace("-", "_")
        distribution = distribution or name
        file = site / f"{module}.py"
        file.write_text(textwrap.dedent(code), encoding="utf-8")
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[fer_bench]\n{name} = {module}\n")
        monkeypatch.delitem(sys.modules, module, raising=False)
        return file

    return write


@pytest.fixture
def tiny(write_plugin: WritePlugin, site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the tiny plugin and give it folders of its own."""
    write_plugin("tiny", TINY)
    (site / "tiny_data.py").write_text(textwrap.dedent(TINY_DATA), encoding="utf-8")
    monkeypatch.delitem(sys.modules, "tiny_data", raising=False)
    monkeypatch.setenv("FER_BENCH_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("FER_BENCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def readable_only() -> Callable[[Path], AbstractContextManager[None]]:
    """Return a context in which a folder and what lies in it can only be read, even where tests run as root."""

    @contextmanager
    def protect(folder: Path) -> Iterator[None]:
        if os.name != "posix":
            pytest.skip("needs POSIX's permissions")
        files = [folder, *folder.rglob("*")]
        closed = [parent for parent in folder.parents if not parent.stat().st_mode & 0o001]
        modes = {file: file.stat().st_mode for file in (*files, *closed)}
        for file, mode in modes.items():
            search = 0o111 * file.is_dir()
            file.chmod((mode & ~0o222) | 0o444 | search if file in files else mode | search)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)
            for file, mode in modes.items():
                file.chmod(mode)

    return protect


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
