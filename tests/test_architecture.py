"""Imports point one way, the cheap modules stay cheap, and messages may be reworded without a test."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from messages import sentences

import fer_bench

ROOT = Path(fer_bench.__file__).parent
ORDER = [
    *(
        "about",
        "errors",
        "labels",
        "paths",
        "privacy",
        "sizes",
        "brackets",
        "corruption",
        "yaml_files",
        "foreign",
        "foreign_files",
        "digests",
        "processors",
        "console",
        "interrupts",
        "progress",
    ),
    *("containment", "numerics", "syntax", "atomic", "memos", "several", "specs", "interface", "hookspecs"),
    *("builtin", "plugins", "registry", "plugin_code", "space", "config"),
    *("arrays", "faces", "data", "audit", "damage", "tasks", "keeping", "networks", "learning"),
    *("evaluation", "results", "models", "reports", "executors", "claims", "testing", "scaffold"),
    *("cli", "__main__", "pytest_plugin", "notebook", "fer_bench"),
]
"""The modules and packages at the top: one imports only what stands before it. ``fer_bench`` is what plugins import."""
LIGHT = ORDER[: ORDER.index("arrays")]
HEAVY = {"jax", "jaxlib", "flax", "optax", "sklearn", "pandas", "tensorflow_datasets", "numpy", "tensorflow"}


def _module(file: Path) -> str:
    """Return the name of the module in a file."""
    parts = file.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {_module(file): file for file in sorted(ROOT.rglob("*.py"))}


def _imports(source: str) -> set[str]:
    """Return the full names of all modules that a source imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "a relative import; the core writes names in full"
            assert node.level == 0, "a relative import; the core writes names in full"
            # ``from package import name`` imports the package only where the name is no module of its own.
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {member if member in FILES else node.module for member in members}
    return names


GRAPH = {name: _imports(file.read_text(encoding="utf-8")) for name, file in FILES.items()}


def _unit(module: str) -> str:
    """Return the module or package at the top that a module is in."""
    return module.split(".")[1] if "." in module else module


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of a cycle, or nothing."""
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_the_order_names_every_module_and_package():
    assert sorted(ORDER) == sorted({_unit(name) for name in FILES})


def test_the_drawing_names_every_room_in_this_order():
    drawing = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8").partition("\n## ")[0]
    table, _, rest = drawing.partition("What every room may read:")
    rooms = [name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)]
    read_by_all = re.findall(r"`(\w+)`", rest.partition(".\n")[0])
    assert rooms == [unit for unit in ORDER if unit in rooms]
    assert sorted([*rooms, *read_by_all, "__main__", "fer_bench"]) == sorted(ORDER)


@pytest.mark.parametrize("module", FILES)
def test_imports_point_one_way(module):
    for name in GRAPH[module]:
        assert not name.startswith(("fer_bench_", "plugins")), f"the core imports a plugin: {name}"
        if name.partition(".")[0] == "fer_bench" and _unit(name) != _unit(module):
            assert ORDER.index(_unit(name)) < ORDER.index(_unit(module)), f"{module} must not import {name}"


def test_no_modules_import_one_another():
    own = {module: {name for name in names if name in FILES and name != module} for module, names in GRAPH.items()}
    assert not _cycle(own)


@pytest.mark.parametrize(
    ("source", "imported"),
    [
        ("import fer_bench", {"fer_bench"}),
        ("from fer_bench import run", {"fer_bench"}),
        ("from fer_bench import paths, __version__", {"fer_bench", "fer_bench.paths"}),
        ("if TYPE_CHECKING:\n    from fer_bench.tasks.view import View", {"fer_bench.tasks.view"}),
        ("def late():\n    import fer_bench.cli", {"fer_bench.cli"}),
    ],
)
def test_every_form_of_import_is_seen(source, imported):
    assert _imports(source) == imported


def test_a_cycle_would_be_seen():
    assert set(_cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})) == {"a", "b", "c"}


@pytest.mark.parametrize("unit", LIGHT)
def test_light_modules_import_nothing_heavy(unit):
    modules = [name for name in FILES if name != "fer_bench" and _unit(name) == unit]
    assert modules
    assert not {name.split(".")[0] for module in modules for name in GRAPH[module]} & HEAVY


def test_help_imports_no_pydantic():
    code = (
        "import sys; from fer_bench.cli import main;"
        "print(sorted({'pydantic', 'pluggy', 'yaml', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_listing_and_help_import_neither_jax_nor_tfds():
    code = (
        "import sys; from fer_bench.cli import app; from typer.testing import CliRunner;"
        "from fer_bench.registry import Registry;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "assert CliRunner().invoke(app, ['run', '--help']).exit_code == 0;"
        "Registry.load();"
        "heavy = {'jax', 'flax', 'tensorflow_datasets', 'pandas', 'sklearn', 'numpy', 'tensorflow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]", out.stdout


def _python() -> dict[str, str]:
    """Return the text of every Python file of the repository, by its path."""
    root = ROOT.parent
    folders = ("fer_bench", "plugins", "tests", "benchmarks", "docs")
    files = [file for folder in folders for file in sorted((root / folder).rglob("*.py"))]
    return {str(file.relative_to(root)): file.read_text(encoding="utf-8") for file in files}


def test_modules_have_400_lines_at_most():
    assert {name: text.count("\n") for name, text in _python().items() if text.count("\n") > 400} == {}


def test_functions_have_60_lines_at_most():
    long = {
        f"{name}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for name, text in _python().items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    }
    assert long == {}


def test_the_type_of_an_array_is_written_once():
    named = {module for module, file in FILES.items() if "np.ndarray" in file.read_text(encoding="utf-8")}
    assert named == {"fer_bench.arrays"}


def _names(source: str) -> set[str]:
    """Return what a module defines or imports, at its top or below a condition there."""
    names: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(source)]
    while nodes:
        for node in ast.iter_child_nodes(nodes.pop()):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                names |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            else:
                nodes.append(node)
    return names


def test_benchmarks_and_documents_import_what_is_there():
    named = {module: _names(file.read_text(encoding="utf-8")) for module, file in FILES.items()}
    missing: list[str] = []
    for file in (*ROOT.parent.glob("benchmarks/**/*.py"), *ROOT.parent.glob("docs/*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "fer_bench":
                known = named.get(node.module, set())
                wanted = {alias.name for alias in node.names if f"{node.module}.{alias.name}" not in FILES}
                missing += [f"{file.name}: {node.module}.{name}" for name in wanted - known]
    assert not missing, "no other test imports these files"


def test_a_name_of_a_class_says_one_thing():
    places: dict[str, list[str]] = {}
    for module, file in FILES.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    assert not {name: modules for name, modules in places.items() if len(modules) > 1}


def test_what_is_checked_strictly_is_there_and_listed_once():
    with (ROOT.parent / "pyproject.toml").open("rb") as file:
        strict = tomllib.load(file)["tool"]["pyright"]["strict"]
    assert strict == sorted(set(strict))
    assert not [path for path in strict if not (ROOT.parent / path).exists()], "pyright passes over what is not there"
    assert not [(a, b) for a in strict for b in strict if Path(a) in Path(b).parents], "in a folder that is listed"


def test_no_test_expects_a_sentence():
    files = [*ROOT.parent.glob("tests/**/*.py"), *ROOT.parent.glob("plugins/*/tests/**/*.py")]
    expected = {file.name: texts for file in files if (texts := sentences(file.read_text(encoding="utf-8")))}
    assert not expected, "check parts with says(), see tests/messages.py"


def test_no_test_drops_the_answer_of_a_check():
    alone = re.compile(r"^ +(np\.)?(says|allclose|array_equal|isclose)\(.*\)$", re.MULTILINE)
    files = [*ROOT.parent.glob("tests/**/*.py"), *ROOT.parent.glob("plugins/*/tests/*.py")]
    assert not [f"{file.name}: {match[0]}" for file in files for match in alone.finditer(file.read_text("utf-8"))]


def test_no_format_with_a_sign_prints_a_negative_zero():
    core = {name: text for name, text in _python().items() if name.startswith("fer_bench")}
    lines = [(name, line) for name, text in core.items() for line in text.splitlines()]
    assert [pair for pair in lines if re.search(r":(\+|\{sign\})\.", pair[1])] == []
    assert any(re.search(r":(\+|\{sign\})z\.", line) for _, line in lines)


def test_no_document_or_source_holds_the_marks_of_a_merge():
    marks = re.compile(r"^(<{7}|\|{7}|>{7}) ", re.MULTILINE)
    folders = [ROOT.parent / name for name in ("docs", "fer_bench", "plugins", "tests", "recipes", "benchmarks")]
    files = [*ROOT.parent.glob("*.*"), *(file for folder in folders for file in folder.rglob("*"))]
    texts = [file for file in files if file.suffix in (".py", ".md", ".toml", ".yaml", ".ini")]
    marked = [str(file.relative_to(ROOT.parent)) for file in texts if marks.search(file.read_text(encoding="utf-8"))]
    assert len(texts) > 500
    assert not marked
