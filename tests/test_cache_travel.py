"""``cache export`` and ``import`` (docs/cluster.md): another machine uses what one computed, and sees what made it."""

from __future__ import annotations

import json
import shutil
import zipfile

import pytest
from messages import says
from tiny_run import BASE, invoke

from fer_bench.errors import FerBenchError
from fer_bench.keeping import parts, travel
from fer_bench.keeping.space import Space
from fer_bench.networks.devices import describe_machine


@pytest.fixture
def exported(tiny):
    """The outputs of a run as a file; its cache is then empty."""
    assert invoke("run", *BASE, "--folds", "2").exit_code == 0
    done = invoke("cache", "export", "--backbone", "net", "--dataset", "squares", "--output", "outputs.zip")
    assert says(done.stdout, "1 part of", "outputs.zip")
    shutil.rmtree(tiny / "cache")
    return tiny / "outputs.zip"


def test_outputs_travel_and_are_not_computed_again(exported, tiny):
    assert says(invoke("cache", "import", "outputs.zip", "--exact").stdout, "1 part of", "0 were there")
    assert says(invoke("cache", "import", "outputs.zip").stdout, "0 parts", "1 were there")
    (entry,) = json.loads(invoke("cache", "status", "--json").stdout)["entries"]
    assert entry["made_by"] == describe_machine()
    (tiny / "notes.txt").write_text("mine")
    for _ in range(2):
        assert says(invoke("cache", "export", "--output", "outputs.zip").stdout, "1 part of", "outputs.zip")
    with pytest.raises(FerBenchError) as error:
        invoke("cache", "export", "--output", "notes.txt")
    assert says(str(error.value), "notes.txt", "--output")
    assert (tiny / "notes.txt").read_text() == "mine"
    again = invoke("run", *BASE, "--folds", "2", "--runs-dir", "again")
    assert "features: squares" not in again.stderr
    same = [file.read_bytes() for name in ("runs", "again") for file in sorted(tiny.glob(f"{name}/cells/[!.]*/pred*"))]
    assert same[:2] == same[2:]


def test_outputs_of_another_kind_of_machine_are_refused_when_exact(exported, tiny, monkeypatch):
    machine = {**describe_machine(), "processor": "an abacus"}
    space = Space(tiny / "cache" / "prefix")
    with pytest.raises(FerBenchError) as error:
        travel.take(space, exported, machine, exact=True)
    assert says(str(error.value), "--exact", describe_machine()["processor"], "an abacus")
    assert not space.rows()
    read = parts.read

    def look(folder):
        Space(space.folder).tidy()  # as a run does that begins now
        (row,) = space.rows()
        assert (row.busy, row.size > 0, len(row.key)) == (True, True, 64)
        return read(folder)

    monkeypatch.setattr(parts, "read", look)
    assert travel.take(space, exported, machine, exact=False) == (1, 0)


def rewrite(file, edit):
    with zipfile.ZipFile(file) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    edit(files)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def flip(files):
    name = next(name for name in files if name.endswith("values.npy"))
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


@pytest.mark.parametrize(
    ("edit", "part"),
    [
        (flip, "checksums"),
        (lambda files: files.update({"../evil": b""}), "../evil"),
        (lambda files: files.pop(next(iter(files))), "export"),
    ],
    ids=["a bit flipped", "leaves the folder", "a file missing"],
)
def test_what_is_damaged_or_foreign_is_refused(exported, tiny, edit, part):
    rewrite(exported, edit)
    with pytest.raises(FerBenchError) as error:
        invoke("cache", "import", "outputs.zip")
    assert says(str(error.value), "outputs.zip", part)
    assert not Space(tiny / "cache" / "prefix").rows()


UNSAID = [b"{", b"[]", b'{"facts": 3}', b'{"facts": {"made_by": "x"}}', b" " * (1 << 20) + b"{}"]


@pytest.mark.parametrize("entry", UNSAID, ids=["torn", "a list", "no facts", "no machine", "too large"])
def test_a_part_that_does_not_say_what_made_it_is_refused_when_exact(exported, tiny, entry):
    rewrite(exported, lambda files: files.update({next(name for name in files if name.endswith(parts.ENTRY)): entry}))
    with pytest.raises(FerBenchError) as error:
        invoke("cache", "import", "outputs.zip", "--exact")
    assert says(str(error.value), "outputs.zip", parts.ENTRY)


def test_compressed_bytes_that_are_damaged_are_refused(exported, tiny):
    with zipfile.ZipFile(exported) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(exported, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        place = next(member for member in archive.infolist() if member.filename.endswith("values.npy"))
    damaged = bytearray(exported.read_bytes())
    start = place.header_offset + 30 + len(place.filename)
    damaged[start : start + 8] = b"\xff" * 8
    exported.write_bytes(damaged)
    with pytest.raises(FerBenchError) as error:
        invoke("cache", "import", "outputs.zip")
    assert says(str(error.value), "outputs.zip")
    assert not Space(tiny / "cache" / "prefix").rows()


def test_half_a_file_is_refused_and_unknown_names_are_named(exported, tiny):
    exported.write_bytes(exported.read_bytes()[:-200])
    with pytest.raises(FerBenchError) as error:
        invoke("cache", "import", "outputs.zip")
    assert says(str(error.value), "outputs.zip")
    with pytest.raises(FerBenchError) as error:
        invoke("cache", "export", "--backbone", "nett", "--output", "none.zip")
    assert says(str(error.value), "nett", "nothing")
    assert not (tiny / "none.zip").exists()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["import", "nothing.zip"], "nothing.zip"),
        (["import", "."], "'.'"),
        (["status", "--cache-dir", "file"], "'file'"),
        (["clear", "--cache-dir", "file"], "'file'"),
    ],
)
def test_a_file_that_is_not_there_and_a_cache_that_is_a_file_are_named(words, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(FerBenchError) as error:
        invoke("cache", *words)
    assert says(str(error.value), name)
    assert ("--cache-dir" in str(error.value)) == ("--cache-dir" in words)
