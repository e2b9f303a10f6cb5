from __future__ import annotations

import pytest

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
    ("text", "message"),
    [
        ("fold: 3\nseed: 1\n", "unknown key 'fold'. Did you mean 'folds'?"),
        ("fold: 3\nseed: 1\n", "unknown key 'seed'. Did you mean 'seeds'"),
        ("folds: 1\n", "folds: Input should be greater than or equal to 2, got 1"),
        ("folds: many\nlimit: -3\n", "limit: Input should be greater than or equal to 2"),
        ("seeds: []\n", "at least one is needed"),
        ("seeds: [1, 1]\n", "given twice"),
        ("seeds: [-1]\n", "seeds lie in 0 to 4294967295"),
        ("datasets: [a, b]\ntrain_with: [b]\n", "'b' is tested and added to training; name it once"),
        ("- folds\n", "holds a list; expected keys"),
        ("folds: [\n", "is not valid YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, text, message):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(FerBenchError) as caught:
        RunConfig.build(file, {})
    assert message in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(FerBenchError, match="Cannot read the configuration"):
        RunConfig.build(tmp_path / "none.yaml", {})
    file = tmp_path / "binary.yaml"
    file.write_bytes(b"\xff\xfe\x00folds")
    with pytest.raises(FerBenchError, match="is not valid YAML"):
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
    for message in ("run 1:", "unknown key 'fold'", "run 2: 'runs_dir' is the same", "run 3:", "folds: Input"):
        assert message in str(caught.value)
    file.write_text("runs: {folds: 3}\n")
    with pytest.raises(FerBenchError, match="is not a list of settings"):
        RunConfig.read(file, {})
