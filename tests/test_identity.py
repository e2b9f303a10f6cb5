"""Results are never reused across code that gives other numbers, and never lost to code that gives the same."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from messages import says
from sklearn.model_selection import StratifiedGroupKFold
from test_results import make_older
from tiny_run import BASE, invoke

import fer_bench
from fer_bench import plugin_code
from fer_bench.networks.identity import identity
from fer_bench.numerics import NUMERICS
from fer_bench.plugin_code import digest_code
from fer_bench.tasks import splitters
from fer_bench.testing.tiny import tiny_backbone

LAB = {
    "lab/__init__.py": '''
        """A plugin that is a package."""
        from fer_bench import hookimpl
        from fer_bench.specs import BackboneSpec, ImageInput, StrategySpec

        @hookimpl
        def fer_bench_backbones():
            """Return the net."""
            image = ImageInput(resize="linear")
            return [BackboneSpec(name="lab-net", summary="", build="lab.nets:build", stages=("all",), feature_size=8,
                                 image_input=image)]

        @hookimpl
        def fer_bench_strategies():
            return [StrategySpec(name="lab-probe", summary="", plan="lab.plans:plan"),
                    StrategySpec(name="lab-knn", summary="", plan="lab.plans:plan_knn")]
        ''',
    "lab/nets.py": '''
        import json
        from pathlib import Path
        import numpy as np
        from flax import nnx
        import lab_layers

        class All(nnx.Module):
            width: int = 8
            """How many numbers it returns."""

            def __init__(self):
                folder = Path(__file__).parent
                self.kernel = nnx.Param(np.load(folder / "weights.npz")["kernel"])
                self.scale = json.loads((folder / "net.json").read_text())["scale"]

            def __call__(self, x):
                """Map (b, s, s, 3) to (b, s, s, 8)."""
                return nnx.relu(x @ self.kernel[...]) * self.scale

        def build(params, *, rngs, compute_dtype):
            net = lab_layers.Net()  # of one stage
            net.all = All()
            return net
        ''',
    "lab/plans.py": """
        from fer_bench.specs import ConvexPhase, Plan, ReadoutPhase
        from lab_numbers import C

        def plan(params):
            return Plan(phases=(ConvexPhase(c=C, standardize=True, max_iterations=100, tolerance=1e-5),))

        def plan_knn(params):
            return Plan(phases=(ReadoutPhase(estimator="lab.neighbours:make", options={"k": 3}),))
        """,
    "lab/neighbours.py": """
        def make(k):
            from sklearn.neighbors import KNeighborsClassifier
            return KNeighborsClassifier(k, weights="uniform")
        """,
    "lab/README.md": "A lab.",
    "lab/net.json": '{"scale": 1.0}',
    "lab_layers.py": """
        from flax import nnx

        class Net(nnx.Module):
            pass
        """,
    "lab_numbers.py": "C = 1.0",
    "lab_apart.py": "UNUSED = 1",
    "lab-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n",
    "lab-1.0.dist-info/entry_points.txt": "[fer_bench]\nlab = lab\n",
}
"""A package with two strategies and a backbone, which loads files and imports modules of the same distribution."""

EDITS = {
    "docstring of a function": ("lab/nets.py", "Map (b, s, s, 3)", "Take (b, s, s, 3)", ""),
    "docstring of an attribute": ("lab/nets.py", "How many numbers it returns.", "Features.", ""),
    "docstring that is new": ("lab_numbers.py", "C = 1.0", '"""Numbers."""\nC = 1.0', ""),
    "comment": ("lab/nets.py", "# of one stage", "# of a stage", ""),
    "layout": ("lab/nets.py", "nnx.relu(x @ self.kernel[...])", "(\n nnx.relu( x@self.kernel[...],)\n)", ""),
    "local variable with another name": ("lab/nets.py", "folder", "place", "net knn"),
    "stage": ("lab/nets.py", "relu", "gelu", "net knn"),
    "input": ("lab/__init__.py", 'resize="linear"', 'resize="cubic"', "net knn"),
    "imported module": ("lab_layers.py", "pass", "count = 1", "net knn"),
    "module that nothing imports": ("lab_apart.py", "1", "2", ""),
    "module that a plan reads": ("lab_numbers.py", "1.0", "2.0", "net probe knn"),
    "plan": ("lab/plans.py", "max_iterations=100", "max_iterations=99", "net probe knn"),
    "estimator": ("lab/neighbours.py", "uniform", "distance", "net knn"),
    "data file": ("lab/net.json", "1.0", "2.0", "net knn"),
    "file that no code names": ("lab/README.md", "A lab", "The lab", ""),
    "version": ("lab-1.0.dist-info/METADATA", "Version: 1.0", "Version: 1.1", "net probe knn"),
}
"""What is edited -> file, text, what it becomes, and what of the plugin gets other ids by it.

A package counts as a whole: the net and the estimator lie in one, which imports the two modules beside it.
"""


def write_lab(folder: Path) -> None:
    for name, text in LAB.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    np.savez(folder / "lab" / "weights.npz", kernel=np.ones((3, 8), np.float32))


GRID = ["plan", "--no-probe", "--dataset", "squares", "--folds", "2", "--json"]
METHODS = ["--backbone", "lab-net", "--backbone", "net", "--strategy", "lab-probe", "--strategy", "lab-knn"]
SHOWN = {"net": ("lab-net", "lab-probe"), "probe": ("net", "lab-probe"), "knn": ("net", "lab-knn")}
"""What is called so in a table -> the backbone and strategy of its cells."""


def read_ids() -> dict[str, set[str]]:
    """Return the ids of the cells of a backbone and of two strategies, as a new process would find them."""
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("lab")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    cells = json.loads(invoke(*GRID, *METHODS).stdout)["cells"]
    methods = [(cell["backbone"]["name"], cell["strategy"]["name"], cell["id"]) for cell in cells]
    return {name: {cell for *method, cell in methods if tuple(method) == shown} for name, shown in SHOWN.items()}


def changed(before: dict[str, set[str]], after: dict[str, set[str]]) -> str:
    return " ".join(name for name, ids in before.items() if not ids & after[name])


def test_ids_before_and_after_edits(tiny, site, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    write_lab(site)
    before = read_ids()
    assert [len(ids) for ids in before.values()] == [2, 2, 2]
    table = {}
    for edit, (name, old, new, _) in EDITS.items():
        text = (site / name).read_text()
        assert old in text
        (site / name).write_text(text.replace(old, new))
        table[edit] = changed(before, read_ids())
        (site / name).write_text(text)
    assert table == {edit: expected for edit, (*_, expected) in EDITS.items()}
    np.savez(site / "lab" / "weights.npz", kernel=np.zeros((3, 8), np.float32))
    assert changed(before, read_ids()) == "net knn"
    write_lab(site)
    assert read_ids() == before
    monkeypatch.setattr("fer_bench.executors.grid.NUMERICS", 99)
    assert changed(before, read_ids()) == "net probe knn"


def test_a_core_that_says_the_same_in_other_words_keeps_every_id(tiny, site):
    """The core counts by the version of its numerics, wherever it is installed."""
    shutil.copytree(Path(fer_bench.__file__).parent, tiny / "core" / "fer_bench")
    engine = tiny / "core" / "fer_bench" / "learning" / "engine.py"
    engine.write_text(engine.read_text(encoding="utf-8").replace('"""', '"""Indeed: ', 1), encoding="utf-8")
    grid = [
        "plan",
        "--no-probe",
        "--dataset",
        "squares",
        "--backbone",
        "net",
        "--strategy",
        "probe",
        "--folds",
        "2",
        "--json",
    ]
    code = f"import fer_bench; from fer_bench.cli import main; assert {str(tiny)!r} in fer_bench.__file__; main()"
    environment = {**os.environ, "PYTHONPATH": f"{tiny / 'core'}{os.pathsep}{site}", "FER_BENCH_PLUGINS": "tiny"}
    there = subprocess.run([sys.executable, "-c", code, *grid], env=environment, capture_output=True, text=True)
    here = invoke(*grid)
    ids = [[cell["id"] for cell in json.loads(text)["cells"]] for text in (there.stdout, here.stdout)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("installed", [False, True])
def test_ids_do_not_depend_on_the_folder_of_an_installation(tmp_path, monkeypatch, installed):
    digests = []
    for name in ("one", "two"):
        folder = tmp_path / name
        write_lab(folder)
        (folder / "strange.py").write_text("x = 1")
        if installed and name == "two":
            record = "".join(f"{place},,\n" for place in LAB)
            (folder / "lab-1.0.dist-info" / "RECORD").write_text(record)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            digests.append(digest_code(["lab.nets:build"], "lab"))
        for module in [module for module in sys.modules if module.startswith("lab")]:
            del sys.modules[module]
    assert digests[0] == digests[1]
    assert set(digests[0]) == {"code_sha256", "data_sha256"}


def test_in_a_namespace_package_modules_count_that_are_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    shared = tmp_path / "shared"
    (shared / "whole").mkdir(parents=True)
    files = {
        "net.py": "from . import helper\nfrom .whole.inner import x\nname = 'net'\nfile = f'{name}.npz'",
        "helper.py": "import fer_bench, numpy, shared.loop",
        "loop.py": "import shared.net",
        "whole/__init__.py": "file = 'pipe.npz'",
        "whole/inner.py": "x = 1",
        "whole/other.py": "y = 1",
        "alone.py": "z = 1",
        "net.npz": "1",
        "net.txt": "1",
    }
    for name, text in files.items():
        (shared / name).write_text(text)
    (shared / "whole" / "gone.py").symlink_to("nowhere")
    os.mkfifo(shared / "whole" / "pipe.npz")
    before = digest_code(["shared.net:build"], "shared")
    assert set(before) == {"code_sha256", "data_sha256"}
    counts = {}
    for name, text in files.items():
        (shared / name).write_text(f"{text}\nnew = 1")
        counts[name] = digest_code(["shared.net:build"], "shared") != before
        (shared / name).write_text(text)
    assert [name for name, counted in counts.items() if not counted] == ["alone.py", "net.txt"]


@pytest.mark.parametrize("installed", [False, True])
def test_a_module_that_nobody_installed_counts_wherever_it_lies(tmp_path, monkeypatch, installed):
    """Helpers in another folder of the path, as of PYTHONPATH or an editable install, and what they import."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    home, elsewhere, library = (tmp_path / name for name in ("home", "elsewhere", "library"))
    files = {
        home / "lone.py": "import json, numpy, outer.inner, fer_bench\nfrom lib_of_others import x",
        home / "back.py": "y = 1",
        elsewhere / "outer" / "__init__.py": "",
        elsewhere / "outer" / "inner.py": "from . import deep\nimport back, near",
        elsewhere / "outer" / "deep.py": "file = 'table.npz'",
        elsewhere / "outer" / "table.npz": "1",
        elsewhere / "near.py": "import lone",
        elsewhere / "apart.py": "z = 1",
        library / "lib_of_others.py": "x = 1",
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for folder in (library, elsewhere, home):
        monkeypatch.syspath_prepend(str(folder))
    sites = {*plugin_code._site_folders(), library, *([home] if installed else [])}
    monkeypatch.setattr("fer_bench.plugin_code._site_folders", lambda: sites)
    before, counts = digest_code(["lone:build"], "lone"), []
    for file, text in files.items():
        file.write_text(f"{text}\nnew = 1")
        if digest_code(["lone:build"], "lone") != before:
            counts.append(file.name)
        file.write_text(text)
    beside = [] if installed else ["back.py"]
    assert counts == ["lone.py", *beside, "__init__.py", "inner.py", "deep.py", "table.npz", "near.py"]


def test_what_another_environment_on_the_path_has_installed_is_no_plugin_code(tmp_path, monkeypatch):
    other = tmp_path / "other" / "site-packages" / "library_of_another"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("x = 1")
    (tmp_path / "mine.py").write_text("import library_of_another")
    for folder in (other.parent, tmp_path):
        monkeypatch.syspath_prepend(str(folder))
    before = digest_code(["mine:build"], "mine")
    (other / "__init__.py").write_text("x = 2")
    assert before
    assert digest_code(["mine:build"], "mine") == before


def test_libraries_and_the_core_are_no_plugin_code():
    assert digest_code(["fer_bench.testing.tiny:build", "sklearn.svm:SVC", "not_installed:build"], "x") == {}


@pytest.mark.parametrize(("name", "value"), [("jax_enable_x64", True), ("jax_default_matmul_precision", "highest")])
def test_settings_of_jax_that_change_numbers_are_part_of_an_identity(name, value):
    component, usual = tiny_backbone(), jax.config.values[name]
    plain = identity(component, "float32")
    try:
        jax.config.update(name, value)
        assert identity(component, "float32") == {**plain, "jax": {name: value}}
    finally:
        jax.config.update(name, usual)
    assert "jax" not in plain


def board(*options: str) -> list[dict[str, Any]]:
    return json.loads(invoke("leaderboard", "--format", "json", *options).stdout)["rows"]


def edit(file: Path, old: str, new: str) -> None:
    """Change a module as its author would, and let it be imported again."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    sys.modules.pop(file.stem, None)
    importlib.invalidate_caches()


def test_plans_and_boards_say_which_stored_cells_do_not_count_and_why(tiny, site, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    grid = [*BASE, "--folds", "2"]

    def plan() -> tuple[int, dict[str, int]]:
        text = invoke("plan", "--no-probe", *grid).stdout
        (row,) = json.loads(invoke("plan", "--no-probe", *grid, "--json").stdout)["rows"]
        reasons: Counter[str] = Counter()
        for other in row["others"]:
            reasons["; ".join(other["why"])] += other["cells"]
            assert other["finished"] in text
        assert all(says(text, f"{cells} stored cells") and why in text for why, cells in reasons.items())
        return row["done"], dict(reasons)

    invoke("run", *grid)
    assert plan() == (2, {})
    with monkeypatch.context() as patch:
        patch.setattr("fer_bench.executors.grid.NUMERICS", 99)
        assert plan() == (0, {f"numerics {NUMERICS}, now 99": 2})
    with monkeypatch.context() as patch:  # as another release of scikit-learn may deal
        patch.setattr(splitters, "stratified_by_group", lambda folds, seed: StratifiedGroupKFold(folds))
        assert plan() == (0, {"other splits": 2})
    edit(site / "tiny.py", "nnx.relu(", "nnx.gelu(")
    done, reasons = plan()
    ((why, cells),) = reasons.items()
    assert says(why, "code", "plugin tiny")
    assert (done, cells) == (0, 2)
    invoke("run", *grid)
    assert [(row["strategy"], row["older"]) for row in board()] == [("probe", 1), ("majority-class", 0)]
    assert "--all-versions" in invoke("leaderboard").stdout
    everything = invoke("leaderboard", "--all-versions").stdout
    versions = [row for row in board("--all-versions") if not row["baseline"]]
    assert len({row["variant"] for row in versions}) == 2
    assert all(f"{row['variant']}, {row['finished'][:10]}" in everything for row in versions)
    newest = max(versions, key=lambda row: row["finished"])
    assert f"A  {newest['variant']}" in invoke("compare", "net probe", "net probe").stdout
    assert invoke("baseline", "freeze", "--output", "frozen").exit_code == 0
    for folder in tiny.glob("runs/cells/[0-9a-f]*"):
        make_older(folder)
    done, reasons = plan()
    ((why, cells),) = reasons.items()
    assert "older format" in why
    assert (done, cells) == (0, 4)
    shown = invoke("leaderboard")
    assert "older format" in shown.stdout
    assert "left out" not in shown.stderr
