"""Data sets that a manifest describes: one's own, and EMPATHIC."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from messages import says

from fer_bench.data.builder import encode_png
from fer_bench.data.prepare import prepare
from fer_bench.errors import DataError, FerBenchError


def write(root: Path, rows: list[dict[str, str]], *, encoding="utf-8", pictures=True) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(rows))
    for row in rows if pictures else ():
        path = root / row["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(rng.integers(0, 256, (8, 8, 3), np.uint8)))
    path = root / "manifest.csv"
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def faults_of(dataset, data_dir: Path) -> list[str]:
    with pytest.raises(DataError) as caught:
        prepare(dataset, data_dir)
    return [line.strip(" -") for line in str(caught.value).splitlines()[1:]]


def test_columns(component, tmp_path):
    rows = [
        {"path": "a.png", "label": "sad", "subject": "p1", "split": "dev", "sequence": "v1", "country": "ES"},
        {"path": "b/c.png", "label": "Happy", "subject": "p2", "split": "", "sequence": "", "country": ""},
    ]
    write(tmp_path / "manual" / "manifest", rows)
    prepared = prepare(component("manifest"), tmp_path)
    assert prepared.labels == ("Happy", "sad")
    assert prepared.samples["label"].tolist() == [1, 0]
    for column, name in [("id", "path"), ("subject", "subject"), ("split", "split"), ("sequence", "sequence")]:
        assert prepared.samples[column].tolist() == [row[name] for row in rows]
    assert prepared.samples["group:country"].tolist() == ["ES", ""]
    assert prepared.warnings == ()
    assert prepared.verify() == []


def test_columns_of_annotators_are_votes(component, tmp_path):
    rows = [
        {"path": "a.png", "label": "sad", "annotator:anna": "sad", "annotator:ben": "happy", "annotator:eve": "sad"},
        {"path": "b.png", "label": "happy", "annotator:anna": "happy", "annotator:ben": "", "annotator:eve": ""},
    ]
    write(tmp_path / "manual" / "manifest", rows)
    prepared = prepare(component("manifest"), tmp_path)
    assert prepared.samples["group:annotator:ben"].tolist() == ["happy", ""]
    assert prepared.samples["soft:sad"].tolist() == pytest.approx([2 / 3, 0])
    rows[1]["annotator:anna"] = ""
    rows.append({**rows[0], "path": "c.png", "annotator:eve": "bored"})
    write(tmp_path / "again" / "manual" / "manifest", rows)
    missing, strange = faults_of(component("manifest"), tmp_path / "again")
    assert says(missing, "b.png", "soft label")
    assert says(strange, "c.png", "'bored'")


def test_hostile_names(component, tmp_path):
    names = [
        "with space.png",
        " leading and trailing .png ",
        'quo"te, comma.png',
        "new\nline.png",
        "лицо/顔 ☺.png",
        "[b]markup.png",
        "%s{0}.png",
        "-flag.png",
    ]
    rows = [{"path": name, "label": f"label, {n % 2} “é”\nx", "subject": f"a'b,{n}"} for n, name in enumerate(names)]
    write(tmp_path / "manual" / "manifest", rows)
    prepared = prepare(component("manifest"), tmp_path)
    assert prepared.samples["id"].tolist() == names
    assert prepared.labels == ("label, 0 “é”\nx", "label, 1 “é”\nx")
    assert prepared.samples["subject"].tolist() == [row["subject"] for row in rows]
    assert prepared.verify() == []
    assert len(prepared.images(np.arange(len(names)))) == len(names)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_byte_order_mark_and_header_in_capitals(component, tmp_path, encoding):
    path = write(tmp_path / "manual" / "manifest", [{"path": "ä.png", "label": "fröhlich"}], encoding=encoding)
    path.write_text(path.read_text(encoding).replace("path,label", " Path , LABEL"), encoding)
    path.rename(path.with_name("Manifest.CSV"))
    assert prepare(component("manifest"), tmp_path).labels == ("fröhlich",)


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["Sadness", "joy", "NEUTRAL"], ("NEUTRAL", "joy", "Sadness")),
        (["sad", "bored", "happy"], ("bored", "happy", "sad")),
    ],
)
def test_order_of_labels(component, tmp_path, labels, order):
    write(tmp_path / "manual" / "manifest", [{"path": f"{n}.png", "label": name} for n, name in enumerate(labels)])
    assert prepare(component("manifest"), tmp_path).labels == order


def test_several_of_ones_own(component, tmp_path):
    write(tmp_path / "manual" / "manifest" / "my-lab", [{"path": "1.png", "label": "a"}])
    write(tmp_path / "manual" / "manifest" / "Café 2", [{"path": "1.png", "label": "b"}])
    assert prepare(component("manifest[name=my-lab]"), tmp_path).labels == ("a",)
    assert prepare(component("manifest[name='Café 2']"), tmp_path).labels == ("b",)
    for name, part in (
        ("'../x'", "/"),
        ("'a/b'", "/"),
        (".", "dot"),
        ("'.. '", "dot"),
        ("' x'", "space"),
        ("'C:x'", ":"),
    ):
        with pytest.raises(FerBenchError) as caught:
            component(f"manifest[name={name}]")
        assert says(str(caught.value), "name:", part, name.strip("'"))
        assert "pattern" not in str(caught.value)


def test_every_fault_at_once(component, tmp_path):
    root = tmp_path / "manual" / "manifest"
    write(root, [{"path": "good.png", "label": "sad"}])
    outside = tmp_path / "manual" / "outside.png"
    outside.write_bytes((root / "good.png").read_bytes())
    (root / "link.png").symlink_to(outside)
    (root / "GOOD2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (root / "manifest.csv").write_text(
        "path,label\n"
        "good.png,sad\n"
        "./good.png,happy\n"
        "../outside.png,sad\n"
        f"{outside},sad\n"
        "C:\\faces\\a.png,sad\n"
        "link.png,sad\n"
        ",sad\n"
        "gone.png,sad\n"
        "good2.png,\n"
        "sub\\a.png,sad\n"
        "one field\n"
        "GOOD2.png,sad\n"
        "nul\0.png,sad\n"
        "https://example.org/a.png,sad\n"
        "./,sad\n"
    )
    lines = faults_of(component("manifest"), tmp_path)
    expected = [
        "'manifest.csv, line 3': repeats the path 'good.png' of line 2, there with the label 'sad', here with 'happy'",
        "'manifest.csv, line 15': has the address 'https://example.org/a.png'",
        "'manifest.csv, line 16': has the path './'",
        f"'manifest.csv, line 5': has the absolute path {str(outside)!r}",
        "'manifest.csv, line 6': has the absolute path 'C:",
        "'manifest.csv, line 8': has an empty 'path'",
        "'manifest.csv, line 12': has 1 field, expected 2",
        "'../outside.png': leaves the data set's folder through '..'",
        "'link.png': leads out of the data set's folder through a symbolic link",
        "'gone.png': is missing",
        "'good2.png': has an empty label",
        "'good2.png': is missing; there is 'GOOD2.png', spelled differently",
        "separate folders by '/'",
        "'GOOD2.png': is not an image of a known format",
        "'nul\\x00.png': cannot be read: ",
    ]
    for what in expected:
        assert any(what in line for line in lines), (what, lines)
    assert len(lines) == len(expected)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_other_tables_and_headings(component, tmp_path, suffix):
    root = tmp_path / "manual" / "manifest"
    rows = [
        {"Image": "a.png", "emotion": "sad", "participant": 7, "age": 30.0},
        {"Image": "b.png", "emotion": "Happy", "participant": 8, "age": None},
    ]
    frame = pd.DataFrame(rows)
    write(root, [{"path": "a.png"}, {"path": "b.png"}]).unlink()
    if suffix == ".parquet":
        frame.set_index("participant", drop=False).rename_axis(None).to_parquet(root / "manifest.parquet")
    else:
        frame.to_csv(root / f"manifest{suffix}", index=False, sep="\t" if suffix == ".tsv" else ",")
    prepared = prepare(component("manifest"), tmp_path)
    assert prepared.samples["id"].tolist() == ["a.png", "b.png"]
    assert prepared.samples["group:participant"].tolist() == ["7", "8"]
    assert prepared.samples["group:age"].tolist() == ["30" if suffix == ".parquet" else "30.0", ""]
    image, emotion, participant = prepared.warnings
    assert says(image, f"manifest{suffix}", "'Image'", "'path'")
    assert says(emotion, "'emotion'", "'label'")
    assert says(participant, "'participant'", "2 values", "'subject'")


def test_headings_that_may_mean_the_same(component, tmp_path):
    path = write(tmp_path / "manual" / "manifest", [{"path": "1.png"}])
    path.write_text("image,file,label\n1.png,1.png,sad\n")
    (line,) = faults_of(component("manifest"), tmp_path)
    assert says(line, "'manifest.csv'", "'image' and 'file'", "'path'")


def test_damaged_parquet(component, tmp_path):
    root = tmp_path / "manual" / "manifest"
    root.mkdir(parents=True)
    (root / "manifest.parquet").write_bytes(b"PAR1 and no more")
    (line,) = faults_of(component("manifest"), tmp_path)
    assert says(line, "'manifest.parquet'", "Parquet")
    pd.DataFrame({"path": ["a.png"], "label": [["sad"]]}).to_parquet(root / "manifest.parquet")
    (line,) = faults_of(component("manifest"), tmp_path)
    assert says(line, "'manifest.parquet'", "'label'", "list<")


def test_a_folder_elsewhere(component, tmp_path):
    write(tmp_path / "faces", [{"path": "1.png", "label": "a"}, {"path": "2.png", "label": "b"}])
    dataset = component(f"manifest[path={tmp_path}/faces]")
    assert str(dataset) == "manifest[path=faces]"
    assert prepare(dataset, tmp_path / "data").labels == ("a", "b")
    with pytest.raises(FerBenchError, match="name and path"):
        component("manifest[path=faces,name=x]")


def test_missing_columns(component, tmp_path):
    path = write(tmp_path / "manual" / "manifest", [{"path": "1.png", "label": "a"}])
    path.write_text("where,labels\n1.png,a\n")
    lines = faults_of(component("manifest"), tmp_path)
    assert lines[0] == "'manifest.csv': has no column 'path'. Known: 'labels', 'where'."
    assert lines[1] == "'manifest.csv': has no column 'label'. Did you mean 'labels'?"
    assert len(lines) == 2


def test_without_a_manifest(component, tmp_path):
    root = tmp_path / "manual" / "manifest"
    root.mkdir(parents=True)
    (root / "1.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"expected 'manifest.csv'.*There is '1.png'"):
        prepare(component("manifest"), tmp_path)


def test_empathic_without_the_data(component, tmp_path):
    with pytest.raises(DataError) as caught:
        prepare(component("empathic"), tmp_path)
    for part in ("769872", "seniors in Spain, France and Norway", "not public", "virtual coach", "path,label,subject"):
        assert part in str(caught.value)
    assert str(tmp_path / "manual" / "empathic") in str(caught.value)


def test_empathic(component, tmp_path):
    labels = ["Happiness", "neutral", "angry", "sad", "surprised", "fearful", "disgusted"]
    rows = [{"path": f"{n}.png", "label": name, "subject": f"s{n}", "country": "NO"} for n, name in enumerate(labels)]
    write(tmp_path / "manual" / "empathic", rows)
    prepared = prepare(component("empathic"), tmp_path)
    assert prepared.labels == ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger")
    assert prepared.samples["label"].tolist() == [1, 0, 6, 2, 3, 4, 5]
    assert prepared.samples["group:country"].tolist() == ["NO"] * 7


def test_empathic_with_other_labels(component, tmp_path):
    rows = [{"path": "1.png", "label": "puzzled", "subject": "a"}, {"path": "2.png", "label": "Calm", "subject": "b"}]
    write(tmp_path / "manual" / "empathic", rows)
    prepared = prepare(component("empathic[labels=[calm,puzzled,pensive]]"), tmp_path)
    assert prepared.labels == ("calm", "puzzled", "pensive")
    assert prepared.samples["label"].tolist() == [1, 0]
    lines = faults_of(component("empathic"), tmp_path)
    assert says(lines[0], "'1.png': ", "'puzzled'")
    with pytest.raises(FerBenchError, match="distinct"):
        component("empathic[labels=[a,a]]")


def test_empathic_needs_subjects(component, tmp_path):
    path = write(tmp_path / "manual" / "empathic", [{"path": "1.png", "label": "sad", "subject": ""}])
    (line,) = faults_of(component("empathic"), tmp_path)
    assert says(line, "'manifest.csv, line 2': ", "empty 'subject'")
    path.write_text("path,label\n1.png,sad\n")
    assert "has no column 'subject'" in faults_of(component("empathic"), tmp_path)[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label,subject\na.png,sad,p\n".replace("path", "path," + ",".join(map(str, range(200_000)))), "200,003"),
        ('path,label\na.png,"sad"der\n', "line 2"),
        ('path,label\na.png,"sad\n', "line 2"),
        ("path,label,subject\na.png,sa\0d,p\n", "NUL"),
        (",path,label\n0,a.png,sad\n", "index=False"),
        ("Unnamed: 0,path,label\n0,a.png,sad\n", "index=False"),
        ("path,,label\na.png,,sad\n", "without a name"),
    ],
    ids=[
        "200,000 columns",
        "text after a quote",
        "an open quote",
        "NUL",
        "pandas's index",
        "pandas's index, written again",
        "no name",
    ],
)
@pytest.mark.timeout(20)
def test_tables_that_no_program_should_write(component, tmp_path, text, said):
    root = tmp_path / "manual" / "manifest"
    root.mkdir(parents=True)
    (root / "a.png").write_bytes(encode_png(np.zeros((8, 8), np.uint8)))
    (root / "manifest.csv").write_text(text)
    assert any(said in line for line in faults_of(component("manifest"), tmp_path))
