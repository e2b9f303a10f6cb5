from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any

import pytest
import typer
from messages import says
from pydantic import Field, TypeAdapter, ValidationError

from fer_bench.brackets import describe_fault
from fer_bench.cli import app
from fer_bench.config import RunConfig
from fer_bench.errors import FerBenchError


def test_command_line_beats_yaml_beats_defaults(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("folds: 3\nseeds: [1, 2]\ndatasets: ['synthetic[n=70]']\n")
    config = RunConfig.build(file, {"folds": 4, "limit": None})
    assert (config.folds, config.seeds, config.datasets, config.backbones) == (
        4,
        (1, 2),
        ("synthetic[n=70]",),
        ("xception",),
    )


def test_an_empty_file_is_all_defaults(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text("# nothing yet\n")
    assert RunConfig.build(file, {}) == RunConfig()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("fold: 3\nseed: 1\n", ("unknown key 'fold'", "'folds'?")),
        ("fold: 3\nseed: 1\n", ("unknown key 'seed'", "'seeds'")),
        ("folds: 1\n", ("folds: ", "2", "got 1")),
        ("folds: many\nlimit: -3\n", ("folds: ", "got 'many'", "limit: ", "2", "got -3")),
        ("seeds: []\n", ("seeds: ", "at least one")),
        ("seeds: [1, 1]\n", ("seeds: ", "given twice")),
        ("seeds: [-1]\n", ("seeds", "0 to 4294967295", "[-1]")),
        ("datasets: [a, b]\ntrain_with: [b]\n", ("'b' is tested", "training")),
        ("- folds\n", ("holds a list",)),
        ("folds: [\n", ("not valid YAML",)),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, parts):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(FerBenchError) as caught:
        RunConfig.build(file, {})
    assert says(str(caught.value), *parts)


DOUBTFUL = {
    "duplicate-key": ("folds: 3\nlabels: native\nfolds: 4\n", "line 3: 'folds' is given in line 1"),
    "octal": ("folds: 0777\n", "line 1: 'folds' is '0777'"),
    "hexadecimal": ("folds: 0x1F\n", "'0x1F'"),
    "sexagesimal": ("folds: 1:30\n", "'1:30'"),
    "underscores": ("limit: 1_000\n", "'1_000'"),
    "date": ("test_split: 2024-01-01\n", "'2024-01-01'"),
    "huge": (f"limit: {'9' * 5000}\n", "line 1: 'limit'"),
    "alias": ("datasets: &a [x]\nbackbones: *a\n", "line 2: anchors and aliases"),
    "merge": ("<<: {folds: 3}\n", "line 1: merges"),
    "tag": ("folds: !!float 3\n", "tag"),
    "python-tag": ("folds: !!python/object/apply:os.getcwd []\n", "tag"),
    "deep": ("folds: " + "[" * 2000 + "]" * 2000 + "\n", "more than 10 lists"),
    "laughs": ("a: &a [x]\n" + "".join(f"{c}: &{c} [{','.join([f'*{b}'] * 9)}]\n" for b, c in ("ab", "bc", "cd")),
               "anchors"),
    "nested-duplicate": ("runs:\n- {folds: 3, folds: 4}\n", "line 2: 'folds' is given in line 2"),
    "large": ("#" * 1_000_001, "larger than 1,000,000 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_yaml_that_can_be_read_in_two_ways_is_refused_with_key_and_line(kind, tmp_path):
    text, message = DOUBTFUL[kind]
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(FerBenchError) as caught:
        RunConfig.build(file, {})
    assert message in str(caught.value)
    assert len(str(caught.value)) < 5000


def test_plain_yaml_numbers_and_words_are_read_as_before(tmp_path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "folds: 3\nface_margin: 2.5e-1\nleak_free: yes\nlimit: null\ntest_split: 'no'\nseeds: [0, 4294967295]\n"
    )
    config = RunConfig.build(file, {})
    assert (config.folds, config.face_margin, config.leak_free, config.limit) == (3, 0.25, True, None)
    assert (config.test_split, config.seeds) == ("no", (0, 4294967295))


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(FerBenchError, match=r"configuration.*none.yaml"):
        RunConfig.build(tmp_path / "none.yaml", {})
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00folds")
    with pytest.raises(FerBenchError, match="UTF-8"):
        RunConfig.build(file, {})


def test_a_file_may_hold_several_runs_that_share_defaults(tmp_path):
    file = tmp_path / "runs.yaml"
    file.write_text("folds: 3\nruns:\n- {protocol: kfold}\n- {protocol: group-kfold, folds: 4}\n")
    runs = RunConfig.read(file, {"seeds": (7,)})
    assert [(run.protocol, run.folds, run.seeds) for run in runs] == [("kfold", 3, (7,)), ("group-kfold", 4, (7,))]


def test_the_faults_of_all_runs_are_named_at_once(tmp_path):
    file = tmp_path / "runs.yaml"
    file.write_text("runs:\n- {fold: 3}\n- {runs_dir: here}\n- {folds: 1}\n")
    with pytest.raises(FerBenchError) as caught:
        RunConfig.read(file, {})
    for message in ("run 1:", "unknown key 'fold'", "run 2: 'runs_dir' is the same", "run 3:", "folds: expected"):
        assert message in str(caught.value)
    file.write_text("runs: {folds: 3}\n")
    with pytest.raises(FerBenchError, match=r"'runs' .* a list"):
        RunConfig.read(file, {})


SETTINGS = ("runs_dir", "data_dir", "cache_dir")


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_leading_tilde_is_the_home_folder_wherever_a_setting_comes_from(setting, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "run.yaml"
    file.write_text(f"{setting}: ~/x\n")
    assert getattr(RunConfig.build(file, {}), setting) == tmp_path / "x"
    assert getattr(RunConfig.build(None, {setting: "~/x"}), setting) == tmp_path / "x"


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["run"], "--runs-dir"),
        (["plan"], "--config"),
        (["leaderboard"], "--runs-dir"),
        (["leaderboard"], "--output"),
        (["baseline", "freeze"], "--output"),
        (["data", "status"], "--data-dir"),
        (["cache", "status"], "--cache-dir"),
        (["new", "backbone", "my-net"], "--output"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else part,
)
def test_every_command_reads_a_path_in_one_way(command, option, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    group: Any = typer.main.get_command(app)
    while hasattr(group, "commands"):
        group, command = group.commands[command[0]], command[1:]
    context = group.make_context("", [*command, f"{option}=~/x"])
    name = {"--output": "output", "--config": "config"}.get(option, option[2:].replace("-", "_"))
    given = {**context.params, **context.meta.get("fer_bench.settings", {})}
    read = RunConfig.build(None, {name: given[name]}) if name in SETTINGS else None
    assert (getattr(read, name) if read else given[name]) == tmp_path / "x"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("~nobody-of-this-name/x", "~nobody"),
        ("a\0b", "NUL"),
        (7, "path"),
        ("a" * 256, "256"),
        ("é" * 128, "256"),
        ("x/" * 2001, "4,001"),
    ],
)
def test_a_path_that_no_file_can_have_is_named(path, message):
    with pytest.raises(FerBenchError, match=message):
        RunConfig.build(None, {"runs_dir": path})


def test_a_path_behind_a_link_to_itself_is_named(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "loop", tmp_path / "loop" / "runs"):
        with pytest.raises(FerBenchError, match="back to itself"):
            RunConfig.build(None, {"runs_dir": path})


def test_a_value_is_named_also_where_its_digits_stand_in_the_bound():
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(dict[str, Annotated[int, Field(ge=10)]]).validate_python({"c": 0})
    assert says(describe_fault(caught.value.errors()[0]), "c: ", "10", "got 0")


@pytest.mark.parametrize("limit", ["1e400", "9" * 400, "99999999999 TB", -5, 2**63])
def test_a_limit_that_no_disk_has_is_refused(limit):
    with pytest.raises(FerBenchError, match="cache_limit"):
        RunConfig.build(None, {"cache_limit": limit})


def test_every_setting_is_an_option_of_run_with_its_default_in_the_help():
    run = typer.main.get_command(app).commands["run"]  # pyright: ignore[reportAttributeAccessIssue]
    shown = {parameter.name: parameter.help for parameter in run.get_params(typer.Context(run))}
    for name, field in RunConfig.model_fields.items():
        assert (field.description or "") in shown[name], name
        if name not in ("limit", "train_on", "train_with"):
            assert "[default: " in shown[name], name


def test_the_help_of_run_imports_pydantic_and_nothing_heavy():
    code = (
        "import sys; from fer_bench.cli import app; from typer.testing import CliRunner;"
        "assert '--backbone' in CliRunner().invoke(app, ['run', '--help']).stdout;"
        "print(sorted({'jax', 'numpy', 'pandas', 'pluggy', 'sklearn'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
