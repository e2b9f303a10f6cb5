"""From an image file to a row of the leaderboard, through the command line, with tiny plugins."""

from __future__ import annotations

import errno
import json
import os
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pandas as pd
import pytest
from messages import says
from PIL import Image
from tiny_run import BASE, invoke

from fer_bench.cli import main
from fer_bench.errors import FerBenchError, PluginWarning
from fer_bench.executors import cells


def test_a_run_stores_cells_and_prints_an_honest_leaderboard(tiny):
    result = invoke("run", *BASE, "--folds", "3", "--seeds", "0,1", "--json")
    assert result.exit_code == 0
    first, second = json.loads(result.stdout)["rows"]
    assert (first["backbone"], first["strategy"], first["synthetic"], first["protocol"]) == (
        "net",
        "probe",
        True,
        "group-kfold",
    )
    assert first["cells"] == {"ok": 6, "failed": 0}
    assert first["n"] == 90
    assert first["scores"]["accuracy"]["mean"] > 0.9 > second["scores"]["accuracy"]["mean"]
    assert second["strategy"] == "majority-class"
    assert "subjects are known" in result.stderr
    cells = sorted((tiny / "runs" / "cells").iterdir())
    assert len(cells) == 6
    tables = [pd.read_feather(folder / "predictions.feather") for folder in cells]
    assert sum(map(len, tables)) == 180
    for table in tables:
        np.testing.assert_allclose(table[["p0", "p1", "p2"]].sum(axis=1), 1, atol=1e-5)
        assert (table["group:half"] == np.where(table["id"] < "045", "first", "second")).all()
        expected = np.array([[1, 0, 0], [0.25, 0.75, 0], [0.25, 0, 0.75]])[table["label"]]
        np.testing.assert_array_equal(table[["soft0", "soft1", "soft2"]], expected)
    provenance = json.loads((cells[0] / "provenance.json").read_text())
    assert provenance["distributions"].keys() >= {"tiny"}
    assert str(tiny) not in json.dumps(provenance["distributions"])


def test_trainings_share_the_folds_that_a_split_seed_deals(tiny):
    invoke("run", *BASE, "--folds", "3")
    first = set((tiny / "runs" / "cells").iterdir())
    (row, _) = json.loads(
        invoke("run", *BASE, "--folds", "3", "--split-seeds", "0", "--seeds", "0,1", "--json").stdout
    )["rows"]
    folders = set((tiny / "runs" / "cells").iterdir())
    assert first < folders, "the cells of one seed for both serve too"
    assert (len(folders), row["cells"]["ok"], row["seeds"], row["split_seeds"]) == (6, 6, 2, 1)
    assert row["sources"]["trainings"] == row["sources"]["seeds"] == 0, "nothing is random in a linear probe"
    records = [json.loads((folder / "cell.json").read_text()) for folder in folders]
    assert sorted((one["seed"], one.get("split_seed")) for one in records) == [(0, None)] * 3 + [(1, 0)] * 3
    assert {one["protocol"]["splits_sha256"] for one in records} == {records[0]["protocol"]["splits_sha256"]}
    seeds = {
        one["seed"]: json.loads((folder / "provenance.json").read_text())["seeds"]
        for one, folder in zip(records, folders, strict=True)
    }
    assert {number: (known["folds"], known["training"]) for number, known in seeds.items()} == {0: (0, 0), 1: (0, 1)}
    loso = ["--protocol", "loso", "--split-seeds", "0,1,2", "--runs-dir", "loso"]
    done = invoke("run", *BASE[2:], "--backbone", "net[fault=build]", *loso)  # fails before its heads are compiled
    assert says(done.stderr, "split seeds 1, 2", "same folds")
    assert len(list((tiny / "loso" / "cells").iterdir())) == 9


def test_no_subject_stands_in_training_and_test(tiny):
    invoke("run", *BASE, "--folds", "3")
    tested = {}
    for folder in (tiny / "runs" / "cells").iterdir():
        fold = json.loads((folder / "cell.json").read_text())["fold"]
        for group in pd.read_feather(folder / "predictions.feather")["group"]:
            assert tested.setdefault(group, fold) == fold
    assert len(tested) == 9


def test_repeating_a_command_resumes_it(tiny):
    invoke("run", *BASE, "--folds", "3")
    stamps = {file: file.stat().st_mtime_ns for file in (tiny / "runs").rglob("*.json")}
    result = invoke("run", *BASE, "--folds", "3", "--seeds", "0,1")
    assert says(result.stderr, "6 cells", "3", "done")
    assert "features:" not in result.stderr  # they were computed once, for every fold and seed
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps
    plan = json.loads(invoke("plan", "--no-probe", *BASE, "--folds", "3", "--seeds", "0,1,2", "--json").stdout)
    assert [cell["status"] for cell in plan["cells"]] == ["done"] * 6 + ["to do"] * 3
    assert plan["images"] == 0


def test_what_a_run_costs_is_kept_and_shown(tiny):
    base = [part for part in BASE if part not in ("--strategy", "probe")]
    invoke("run", *base, "--folds", "3", "--strategy", "steps", "--strategy", "probe")
    rows = json.loads(invoke("leaderboard", "--format", "json").stdout)["rows"]
    costs = {row["strategy"]: row["cost"] for row in rows}
    assert set(costs["majority-class"].values()) == {None}
    for name in ("steps", "probe"):
        # A 3x3 convolution of 16 x 16 pixels that looks at no padding, 3 channels to 8, two operations each.
        assert (16 * 3 - 2) ** 2 * 3 * 8 * 2 < costs[name]["forward_flops"] < 115_000
        assert costs[name]["peak_memory_bytes"] > 50e6
    assert costs["steps"]["train_s"] > 0
    assert costs["steps"]["data_s"] > 0
    assert costs["steps"]["compile_s"] > 0.01
    assert costs["steps"]["features_s"] > costs["probe"]["features_s"], "the second strategy finds them in the cache"
    text = invoke("leaderboard", "--columns", "cost", "--format", "md").stdout
    assert "| images/s | features s | data s | compile s | train s | evaluate s | memory GB | GFLOP/image |" in text
    assert "cost_train_s" in invoke("leaderboard", "--format", "csv").stdout.splitlines()[0]
    assert "GFLOP/image" in invoke("leaderboard", "--columns", "cost", "--format", "html").stdout
    assert "UAR" not in invoke("leaderboard", "--columns", "cost").stdout.splitlines()[1]


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("build", ("'tiny'", "'net[fault=build]'", "OSError: weights are gone")),
        ("stages", ("lacks", "['last']")),
        ("trace", ("'tiny'", "RuntimeError: stem fell off")),
        ("exit", ("'tiny'", "SystemExit: enough")),
        ("nan", ("not finite", "'000'")),
    ],
)
def test_a_cell_that_fails_stays_visible_and_the_others_go_on(tiny, fault, parts):
    result = invoke("run", *BASE, "--backbone", f"net[fault={fault}]", "--folds", "3", "--json")
    assert result.exit_code == 1
    rows = {row["backbone"]: row for row in json.loads(result.stdout)["rows"]}
    assert rows["net"]["cells"] == {"ok": 3, "failed": 0}
    broken = rows[f"net[fault={fault}]"]
    assert (broken["cells"], broken["scores"]) == ({"ok": 0, "failed": 3}, {})
    assert says(broken["errors"][0], *parts)
    assert sum(says(line, *parts) for line in result.stderr.splitlines()) == 3
    assert invoke("leaderboard").exit_code == 0


@pytest.mark.parametrize(
    ("error", "said"), [(MemoryError(), ["MemoryError", "memory"]), (KeyError(), ["KeyError", "no"])]
)
def test_an_error_without_a_text_is_told_in_words(error, said):
    def fall():
        raise error

    strategy = SimpleNamespace(spec=SimpleNamespace(plan="a:b"), plugin=SimpleNamespace(name="a"))
    backbone = SimpleNamespace(spec=SimpleNamespace(build="b:c"), plugin=SimpleNamespace(name="b"))
    told = cells.guarded(fall, SimpleNamespace(strategy=strategy, backbone=backbone, plans={}))
    assert says(told, *said)
    assert not told.rstrip().endswith(":")


@pytest.mark.parametrize(
    ("number", "word"),
    [(errno.ENOSPC, "disk"), (errno.EDQUOT, "disk"), (errno.EMFILE, "ulimit"), (errno.ENOMEM, "memory")],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_what_the_machine_lacks_ends_the_run_and_fails_no_cell(tiny, monkeypatch, number, word, wrapped):
    def fit(*_):
        try:
            raise OSError(number, os.strerror(number))
        except OSError as error:
            if not wrapped:
                raise
            raise RuntimeError("a library's own words") from error

    with monkeypatch.context() as patch:
        patch.setattr("fer_bench.learning.convex.fit", fit)
        with pytest.raises(FerBenchError, match=word):
            invoke("run", *BASE, "--folds", "3")
    assert not list((tiny / "runs").rglob("cell.json"))
    assert invoke("run", *BASE, "--folds", "3").exit_code == 0


def test_heads_that_are_too_much_for_a_device_fail_their_cells_with_advice(tiny, monkeypatch):
    def fit(*_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 512 bytes.")

    monkeypatch.setattr("fer_bench.learning.convex.fit", fit)
    (told, *_) = json.loads(invoke("run", *BASE, "--folds", "3", "--json").stdout)["rows"][0]["errors"]
    assert says(told, "3 heads", "8 features", "JAX_PLATFORMS=cpu")
    assert "512 bytes" not in told


def test_what_a_careless_plugin_does_in_a_run_is_undone_and_told(tiny):
    with pytest.warns(PluginWarning) as told:
        result = invoke("run", *BASE[2:], "--backbone", "net[fault=careless]", "--folds", "3", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"][0]["cells"] == {"ok": 3, "failed": 0}
    assert not jax.config.jax_enable_x64
    messages = [str(warning.message) for warning in told if issubclass(warning.category, PluginWarning)]
    for parts in (("stdout", "building {"), ("jax_enable_x64", "True", "False")):
        assert any(says(text, "'tiny'", "'net[fault=careless]'", *parts) for text in messages), parts


def test_a_backbone_of_another_width_than_declared_fails_its_cells(tiny):
    result = invoke("run", *BASE[2:], "--backbone", "net[width=5]", "--folds", "3", "--json")
    assert "returned features (32, 5) float32; it declares (32, 8)" in json.loads(result.stdout)["rows"][0]["errors"][0]


def test_a_damaged_feature_file_is_computed_again(tiny):
    invoke("run", *BASE, "--folds", "3")
    (features,) = (tiny / "cache" / "prefix").rglob("values.npy")
    content = features.read_bytes()
    features.write_bytes(content[:-4] + b"\0\0\0\0")
    result = invoke("run", *BASE, "--folds", "2")
    assert "features:" in result.stderr
    (features,) = (tiny / "cache" / "prefix").rglob("values.npy")
    assert features.read_bytes() == content


def test_images_of_many_sizes_and_kinds_reach_the_backbone(tiny, write_plugin, site):
    rng = np.random.default_rng(1)
    folder = tiny / "pictures"
    folder.mkdir()
    rows = []
    for i, (shape, mode) in enumerate(
        [((12, 20), "L"), ((40, 8, 3), "RGB"), ((16, 16, 3), "RGB"), ((300, 200), "L")] * 4
    ):
        image = Image.fromarray(rng.integers(0, 255, shape).astype(np.uint8), mode)
        image.save(folder / f"{i}.png")
        rows.append(f"{i}.png")
    code = f"""
        from pathlib import Path
        from fer_bench.data.builder import FerBuilder
        from fer_bench.specs import Sample

        class Mixed(FerBuilder):
            "Pictures of many shapes."
            @classmethod
            def manual_path(cls, spec, params):
                return None
            def read(self, root, faults):
                for i in range({len(rows)}):
                    yield Sample(id=str(i), image=Path({str(folder)!r}, f"{{i}}.png").read_bytes(), label="ab"[i % 2])
    """
    write_plugin(
        "mixed",
        """
        from fer_bench import hookimpl
        from fer_bench.specs import DatasetSpec
        @hookimpl
        def fer_bench_datasets():
            return [DatasetSpec(name="mixed", title="", builder="mixed_data:Mixed", labels=("a", "b"), identity="no",
                                licence="", citation="")]
        """,
    )
    import textwrap

    (site / "mixed_data.py").write_text(textwrap.dedent(code), encoding="utf-8")
    result = invoke("run", "--dataset", "mixed", *BASE[:2], *BASE[4:], "--folds", "2", "--json")
    assert result.exit_code == 0
    row = json.loads(result.stdout)["rows"][0]
    assert (row["protocol"], row["n"]) == ("kfold", 16)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--backbone", "nte"], ("backbone 'nte'", "'net'?")),
        (["--dataset", "sqares"], ("dataset 'sqares'", "'squares'?")),
        (["--strategy", "porbe"], ("strategy 'porbe'", "'probe'?")),
        (["--folds", "1"], ("folds: ", "2", "got 1")),
        (["--folds", "10"], ("--folds 10", "9 subjects")),
        (["--folds", "31", "--protocol", "kfold"], ("--folds 31", "30 samples of class 'dark'")),
        (["--limit", "2"], ("--limit 2", "3 classes")),
        (["--limit", "0"], ("limit: ", "2", "got 0")),
        (["--seeds", "0,x"], ("--seeds '0,x'", "whole numbers")),
        (["--protocol", "loocv"], ("protocol 'loocv'",)),
        (["--precision", "int8"], ("precision: ", "'float32'", "got 'int8'")),
        (["--runs-dir", "file/runs"], ("Cannot write", "'file/runs'")),
        (["--config", "bad.yaml"], ("key 'fold'", "'folds'?")),
        (["--backbone", "net[input_size=2]"], ("input_size: ", "4", "got 2")),
    ],
)
def test_bad_input_is_one_message_and_exit_2(tiny, arguments, parts, monkeypatch, capsys):
    (tiny / "file").write_text("")
    (tiny / "bad.yaml").write_text("fold: 3\n")
    given = dict(zip(BASE[::2], BASE[1::2], strict=True)) | dict(zip(arguments[::2], arguments[1::2], strict=True))
    monkeypatch.setattr(sys, "argv", ["fer-bench", "run", *(part for pair in given.items() for part in pair)])
    with pytest.raises(SystemExit) as caught:
        main()
    captured = capsys.readouterr()
    assert caught.value.code == 2
    assert says(captured.err, *parts)
    assert captured.err.count("fer-bench: ") == 1
    assert "Traceback" not in captured.err


def test_a_config_file_says_the_same_as_options(tiny):
    (tiny / "run.yaml").write_text("datasets: [squares]\nbackbones: [net]\nstrategies: [probe]\nfolds: 3\n")
    assert invoke("run", "--config", "run.yaml").exit_code == 0
    assert says(invoke("run", *BASE, "--folds", "3", "--seeds", "0,1,2").stderr, "9 cells", "3", "done")
    assert says(invoke("run", "--config", "run.yaml", "--seeds", "0,2").stderr, "6 cells", "6", "done")


def test_quiet_prints_the_leaderboard_alone(tiny):
    result = invoke("run", *BASE, "--folds", "3", "--quiet")
    assert result.stderr == ""
    assert result.stdout.startswith("squares (synthetic): group-kfold, 3 folds x 1 seed, 3 classes (chance UAR 33.3 %)")


def test_an_empty_runs_folder_says_what_to_run(tiny, monkeypatch, capsys):
    (tiny / "runs").mkdir()
    monkeypatch.setattr(sys, "argv", ["fer-bench", "leaderboard"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "Run 'fer-bench run --runs-dir runs' first" in capsys.readouterr().err


def test_the_cache_says_what_it_holds_and_is_cleared(tiny):
    assert says(invoke("cache", "status").stdout, "0 stage outputs", "0 bytes")
    invoke("run", *BASE, "--folds", "3")
    text = invoke("cache", "status", "--cache-limit", "5MB").stdout
    assert "squares" in text
    assert "net, " in text
    assert "1 stage output," in text
    assert "of at most 5.0 MB" in text
    record = json.loads(invoke("cache", "status", "--json").stdout)
    (entry,) = record["entries"]
    assert (entry["dataset"], entry["images"], entry["backbone"], entry["holds"], entry["type"]) == (
        *("squares", 90, "net", "features"),
        "float16",
    )
    assert record["total_bytes"] == entry["size_bytes"] > 90 * 8 * 2
    assert json.loads(invoke("plan", "--no-probe", *BASE, "--json").stdout)["images"] == 0
    assert len(json.loads(invoke("cache", "clear", "--json").stdout)["removed"]) == 1
    assert json.loads(invoke("plan", "--no-probe", *BASE, "--json").stdout)["images"] == 90
    assert "Removed 0 stage outputs" in invoke("cache", "clear", "--all").stdout
    assert not (tiny / "cache" / "rates").exists()


def test_a_cache_that_can_only_be_read_serves_runs_that_need_nothing_new(tiny, readable_only):
    invoke("run", *BASE, "--folds", "3")
    for memo in (tiny / "cache").glob("*/*.memo"):
        memo.unlink()  # what is optional is wanted and cannot be written
    with readable_only(tiny / "cache"):
        result = invoke(
            "run", *BASE[:4], "--strategy", "probe[c=2]", "--folds", "3", "--runs-dir", "runs/other", "--json"
        )
        cells = json.loads(result.stdout)["rows"][0]["cells"]
        with pytest.raises(FerBenchError, match=r"Cannot write .*cache") as caught:
            invoke("run", *BASE[2:], "--backbone", "net[width=9]", "--folds", "3", "--runs-dir", "runs/third")
        with pytest.raises(FerBenchError, match="not be removed") as not_cleared:
            invoke("cache", "clear", "--all")
    assert (result.exit_code, cells) == (0, {"ok": 3, "failed": 0})
    warnings = [line for line in result.stderr.splitlines() if "cannot be written" in line]
    assert len(warnings) == 2, "one of stage outputs, one of what is measured"
    assert all(str(tiny / "cache") in line for line in (*warnings, str(caught.value), str(not_cleared.value)))
    assert invoke("cache", "status").stdout.count("squares") == 1


@pytest.mark.parametrize("kind", ["stages", "rates", "flops"])
def test_a_fact_that_cannot_be_remembered_fails_no_cell(tiny, kind):
    (tiny / "cache").mkdir()
    (tiny / "cache" / kind).write_text("a file where a folder is wanted")
    result = invoke("run", *BASE, "--folds", "3", "--json")
    assert json.loads(result.stdout)["rows"][0]["cells"] == {"ok": 3, "failed": 0}
    (warning,) = [line for line in result.stderr.splitlines() if "cannot be written" in line]
    assert str(tiny / "cache") in warning


def test_parts_of_one_output_are_one_row_of_the_status(tiny):
    for limit in ("30", "90"):
        invoke("run", *BASE, "--folds", "3", "--limit", limit)
    invoke("run", *BASE[2:], "--backbone", "net[width=8,input_size=24]", "--folds", "3", "--limit", "30")
    assert len(json.loads(invoke("cache", "status", "--json").stdout)["entries"]) == 3
    lines = [line for line in invoke("cache", "status").stdout.splitlines() if "squares" in line]
    assert len(set(lines)) == len(lines) == 2
    assert sum(" 90 " in line for line in lines) == 1


def test_a_cache_limit_that_is_too_small_ends_the_run_with_what_to_do(tiny, monkeypatch, capsys):
    for limit, message in {"100": "4.3 kB do not fit the cache", "many": "'many' is not a size; write"}.items():
        monkeypatch.setattr(sys, "argv", ["fer-bench", "run", *BASE, "--cache-limit", limit])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        assert message in capsys.readouterr().err
