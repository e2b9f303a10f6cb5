"""Folders of one's own with one folder of pictures for each class: what is read, and what is explained."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from messages import says

from fer_bench.config import RunConfig
from fer_bench.data.prepare import prepare
from fer_bench.errors import DataError, FerBenchError
from fer_bench.executors.notes import notes_on_folds
from fer_bench.executors.trust import reaches
from fer_bench.registry import Registry
from fer_bench.tasks.protocols import choose, split
from fer_bench.tasks.task import Task
from fer_bench.tasks.view import select
from fer_bench.testing.layouts.drawing import save_face, write_text


@pytest.fixture(scope="session")
def drawn(tmp_path_factory) -> Path:
    """Four pictures of each of three classes, of two people."""
    root = tmp_path_factory.mktemp("drawn")
    for folder, expression in (("Happy", "happiness"), ("normal", "neutral"), ("bored", "fear")):
        for number in range(4):
            save_face(root / folder / f"P{number % 2:02d}_{number}.png", expression, number, 16)
    return root


@pytest.fixture
def faces(drawn, tmp_path) -> Path:
    """A copy of the folder, to be changed."""
    return Path(shutil.copytree(drawn, tmp_path / "faces"))


@pytest.fixture
def read(component, tmp_path, faces):
    """Prepare the folder with some parameters."""
    return lambda params="": prepare(component(f"folder[path={faces}{params}]"), tmp_path / "data")


@pytest.fixture
def fault(read) -> Callable[..., str]:
    """Return the message that the folder is refused with."""

    def message(params: str = "") -> str:
        with pytest.raises(DataError) as caught:
            read(params)
        return str(caught.value)

    return message


def test_classes_are_told_by_their_spelling(read):
    prepared = read()
    assert prepared.labels == ("bored", "happiness", "neutral")
    assert prepared.counts == {"": {"neutral": 4, "happiness": 4, "bored": 4}}
    assert prepared.samples["id"].tolist()[:2] == ["Happy/P00_0.png", "Happy/P00_2.png"]
    (told,) = prepared.warnings
    assert says(told, "'Happy' is 'happiness'", "'normal' is 'neutral'")
    assert prepared.verify() == []


def test_parts_are_official_splits(read, faces):
    for part in ("Train", "valid", "test"):
        shutil.copytree(faces / "Happy", faces / part / "happiness")
        shutil.copytree(faces / "normal", faces / part / "NEUTRAL")
    shutil.rmtree(faces / "test" / "NEUTRAL")
    for name in ("Happy", "normal", "bored"):
        shutil.rmtree(faces / name)
    prepared = read()
    assert prepared.counts == {
        "test": {"neutral": 0, "happiness": 4},
        "train": {"neutral": 4, "happiness": 4},
        "valid": {"neutral": 4, "happiness": 4},
    }


@pytest.mark.parametrize(
    ("pattern", "subjects", "groups"),
    [
        (r"^(P\d+)_", ["P00", "P00", "P01", "P01"], {}),
        (r"'^(?:P)(\d+)_(\d)'", ["00", "00", "01", "01"], {}),
        (r"'^(?P<clip>[(P]\d+)_(?P<subject>\d)'", ["0", "2", "1", "3"], {"clip": ["P00", "P00", "P01", "P01"]}),
        (r"'(P\d+)_[01]'", ["P00", "", "P01", ""], {}),
    ],
)
def test_subjects_by_the_names_of_files(read, pattern, subjects, groups):
    samples = read(f",subject={pattern}").samples.iloc[:4]
    assert samples["subject"].tolist() == subjects
    for name, values in groups.items():
        assert samples[f"group:{name}"].tolist() == values


@pytest.mark.parametrize("pattern", ["'^P('", "'^P'", "'(?=P)(.)'", "'((a{1000}){1000})'", "'(Q)'"])
def test_patterns_that_say_no_subject(fault, pattern):
    assert says(fault(f",subject={pattern}"), f"subject={pattern}", r"^(P\d+)_")


@pytest.mark.timeout(20)
def test_a_pattern_that_would_take_for_ever(read, faces):
    """Python's own expressions need 2^200 steps for it."""
    (faces / "Happy" / "P00_0.png").rename(faces / "Happy" / f"{'a' * 200}.png")
    assert "".join(read(r",subject='^((?:a|a)*(?:a|aa)*)+\.png|(P)'").samples["subject"].tolist()[:1]).strip("aP") == ""


@pytest.mark.parametrize("table", ["who.csv", "who.tsv", "who.parquet"])
def test_subjects_by_a_table(read, faces, table):
    import pandas as pd

    paths = [path.relative_to(faces).as_posix() for path in sorted(faces.rglob("*.png"))]
    frame = pd.DataFrame({"file": paths[:-1], "subject": range(11), "age": ["30"] * 11})
    if table.endswith("parquet"):
        frame.to_parquet(faces / table)
    else:
        frame.to_csv(faces / table, index=False, sep="\t" if table.endswith("tsv") else ",")
    prepared = read(f",subjects={table}")
    assert prepared.samples["subject"].tolist() == [*map(str, range(11)), ""]
    assert prepared.samples["group:age"].tolist() == [*["30"] * 11, ""]
    assert not any("not read" in text for text in prepared.warnings)


def test_a_table_with_wrong_paths(fault, faces):
    rows = [f"no/{number}.png,p" for number in range(10)]
    write_text(faces / "who.csv", ["path,subject", *rows, "P00_0.png,p", "Happy/P00_2.png,p", "Happy/P00_2.png,q"])
    text = fault(",subjects=who.csv")
    assert says(text, "12 faults", "10 times", "'no/0.png'", "'no/9.png'")
    assert says(text, "'P00_0.png'", "'Happy/P00_0.png'")
    assert says(text, "'Happy/P00_2.png'", "twice")
    assert says(fault(",subjects=gone.csv"), "'gone.csv'", "missing")
    assert says(fault(",subjects=who.txt"), "'who.txt'", ".csv", ".parquet")


def test_numbers_are_named_in_their_order(read, fault, faces):
    for number, name in ((2, "Happy"), (10, "normal"), (0, "bored")):
        (faces / name).rename(faces / str(number))
    assert says(fault(), "'0', '2', '10'", "classes=")
    assert says(fault(",classes=[sad,happy]"), "3 folders", "2: 'sad', 'happy'")
    prepared = read(",classes=[angry,joy,puzzled]")
    assert prepared.labels == ("anger", "happiness", "puzzled")
    assert prepared.samples.set_index("id")["label"].loc[["0/P00_0.png", "2/P00_0.png", "10/P00_0.png"]].tolist() == [
        *(0, 1, 2)
    ]


def _nothing(root: Path) -> tuple[str, ...]:
    shutil.rmtree(root / "Happy")
    shutil.rmtree(root / "normal")
    shutil.rmtree(root / "bored")
    (root / "README.md").touch()
    return ("'README.md'",)


def _flat(root: Path) -> tuple[str, ...]:
    for path in sorted(root.rglob("*.png")):
        path.rename(root / f"{path.parent.name}_{path.name}")
    for name in ("Happy", "normal", "bored"):
        (root / name).rmdir()
    return ("12 pictures", "manifest.csv", "manifest[path=")


def _loose(root: Path) -> tuple[str, ...]:
    shutil.copy(root / "Happy" / "P00_0.png", root / "ä.png")
    return ("1 picture", "'ä.png'")


def _one_class(root: Path) -> tuple[str, ...]:
    shutil.rmtree(root / "normal")
    shutil.rmtree(root / "bored")
    return ("one class", "'happiness'")


def _empty_class(root: Path) -> tuple[str, ...]:
    (root / "sad").mkdir()
    return ("1 fault", "'sad'", "no picture")


def _two_spellings(root: Path) -> tuple[str, ...]:
    shutil.copytree(root / "Happy", root / "joy")
    return ("'joy'", "'happiness'", "'Happy'")


def _two_normal_forms(root: Path) -> tuple[str, ...]:
    shutil.copytree(root / "Happy", root / "müde")
    shutil.copytree(root / "Happy", root / "mu\u0308de")
    return ("'müde'", "merge")


def _no_pictures(root: Path) -> tuple[str, ...]:
    for number in range(10):
        (root / "Happy" / f"{number}.txt").touch()
    return ("10 faults", "10 times", ".jpg", "'Happy/0.txt'", "'Happy/9.txt'")


def _folders_within(root: Path) -> tuple[str, ...]:
    shutil.copytree(root / "Happy", root / "normal" / "P03")
    return ("'normal/P03'", "is a folder")


def _subjects_within(root: Path) -> tuple[str, ...]:
    for name in ("Happy", "normal", "bored"):
        (root / name).rename(root / "P01")
        (root / name).mkdir()
        (root / "P01").rename(root / name / "P01")
    return ("'Happy/P01'", "'Happy/P01_1.png'", "subject=", "manifest[path=")


def _subjects_first(root: Path) -> tuple[str, ...]:
    for person in ("anna", "bert"):
        shutil.copytree(root / "Happy", root / person / "Happy")
        shutil.copytree(root / "Happy", root / person / "sad")
    for name in ("Happy", "normal", "bored"):
        shutil.rmtree(root / name)
    return ("'anna', 'bert'", "'anna/Happy'", "path,label,subject")


def _deeper(root: Path) -> tuple[str, ...]:
    inner = root / "archive" / "test"
    for name in ("Happy", "normal", "bored"):
        shutil.copytree(root / name, inner / name)
        shutil.rmtree(root / name)
    return ("'archive'", f"--dataset 'folder[path={root}/archive]'")


def _parts_and_more(root: Path) -> tuple[str, ...]:
    shutil.copytree(root / "Happy", root / "train" / "happy")
    return ("'Happy', 'bored', 'normal'", "'train'")


def _parts_without_labels(root: Path) -> tuple[str, ...]:
    shutil.copytree(root, root.parent / "copy")
    shutil.rmtree(root)
    shutil.copytree(root.parent / "copy", root / "train")
    shutil.copytree(root.parent / "copy" / "Happy", root / "test")
    return ("'test'", "4 pictures")


def _yolo(root: Path) -> tuple[str, ...]:
    for name in ("normal", "bored"):
        shutil.rmtree(root / name)
    (root / "Happy").rename(root / "images")
    for part in ("train", "test"):
        shutil.copytree(root / "images", root / part / "images")
        write_text(root / part / "labels" / "P00_0.txt", ["3 0.5 0.5 1 1"])
    shutil.rmtree(root / "images")
    write_text(root / "data.yaml", ["nc: 7"])
    return ("YOLO", "'images'", "'labels'", "manifest.csv")


def _link_out(root: Path) -> tuple[str, ...]:
    (root / "Happy").rename(root.parent / "outside")
    (root / "Happy").symlink_to(root.parent / "outside")
    return ("1 fault", "'Happy'", "symbolic link", str(root.parent / "outside"))


def _dead_links(root: Path) -> tuple[str, ...]:
    (root / "Happy" / "x.png").symlink_to(root / "gone.png")
    (root / "sad").symlink_to(root / "gone")
    return ("2 faults", "'sad'", "link", "'Happy/x.png'", "missing")


HOSTILE = [
    *(_nothing, _flat, _loose, _one_class, _empty_class, _two_spellings, _two_normal_forms, _no_pictures),
    *(_folders_within, _subjects_within, _subjects_first, _deeper, _parts_and_more, _parts_without_labels, _yolo),
    *(_link_out, _dead_links),
]


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda function: function.__name__.strip("_"))
def test_what_cannot_be_read_is_explained(fault, faces, spoil):
    said = spoil(faces)
    text = fault()
    assert str(faces) in text
    assert says(text, *said), text


def test_names_in_any_script_and_a_link_that_stays(read, faces):
    (faces / "bored").rename(faces / "悲しい 😀")
    (faces / "Happy" / "P00_0.png").rename(faces / "Happy" / "лицо [b].PNG")
    (faces / "normal" / "again.png").symlink_to(faces / "Happy" / "P01_1.png")
    (faces / "Happy" / ".DS_Store").touch()
    (faces / "LICENSE").touch()
    prepared = read()
    assert prepared.labels == ("happiness", "neutral", "悲しい 😀")
    assert "Happy/лицо [b].PNG" in prepared.samples["id"].tolist()
    assert "normal/again.png" in prepared.samples["id"].tolist()
    assert says(prepared.warnings[0], "not read", "'LICENSE'")


def test_one_image_of_each_class(read, faces):
    for path in faces.rglob("P*_[123].png"):
        path.unlink()
    assert read().counts == {"": {"neutral": 1, "happiness": 1, "bored": 1}}


def test_identity_is_content_and_the_name_of_the_folder(component, read, faces, tmp_path):
    first = read()
    moved = shutil.copytree(faces, tmp_path / "elsewhere" / "faces")
    dataset = component(f"folder[path={moved}]")
    second = prepare(dataset, tmp_path / "data")
    assert first.fingerprint == second.fingerprint
    assert first.folder != second.folder
    assert str(dataset) == "folder[path=faces]"
    assert dataset.identity()["params"]["path"] == "faces"
    assert read(r",subject=^(P\d+)_").fingerprint != first.fingerprint


def test_a_run_counts_images_without_a_subject(component, faces, tmp_path):
    dataset = component(rf"folder[path={faces},subject='(P\d+)_[01]']")
    task = Task((select(dataset, prepare(dataset, tmp_path), None, "native"),))
    config, registry = RunConfig(folds=2, protocol="group-kfold"), Registry.load()
    protocol, why = choose(config, task, registry)
    note = notes_on_folds(task, split(protocol, task, config, 0), why)[0]
    assert says(note, "folder[path=faces", "12 images", "6 images", "no subject")


def test_a_strangers_cell_opens_no_folder_unasked(faces):
    (line,) = reaches(RunConfig(datasets=(f"folder[path={faces}]",)), Registry.load())
    assert says(line, "folder", str(faces), "'path'")


def test_parameters_that_exclude_each_other(component, tmp_path):
    with pytest.raises(FerBenchError, match="subject and subjects"):
        component("folder[path=faces,subject=(a),subjects=b.csv]")
    with pytest.raises(DataError) as caught:
        prepare(component("folder"), tmp_path)
    assert says(str(caught.value), str(tmp_path / "manual" / "folder"), "folder[path=faces]")
