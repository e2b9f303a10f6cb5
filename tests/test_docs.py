"""What the documents show works: commands parse, the plugin of the README runs, every subcommand is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import examples, parse, subcommands

from fer_bench.learning.plans import make_plan
from fer_bench.registry import Registry

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("plugins/*/README.md")), *sorted(ROOT.glob("docs/**/*.md"))]


CASES = [(document, line) for document in DOCUMENTS for line in examples(document.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("document", "line"), CASES, ids=[f"{d.parent.name}/{d.name}: {line}" for d, line in CASES])
def test_every_documented_command_parses(document, line):
    if "|" in line:  # "data list | status": names, not a pipe
        group, *alternatives = line.split("#")[0].replace("fer-bench ", "").split("|")
        family, first = group.split()[:2]
        for name in [first, *(word.split()[0] for word in alternatives)]:
            assert f"{family} {name}" in subcommands()
        return
    parse(line.replace("…", ""))


def test_the_documents_show_commands():
    assert len(CASES) >= 14


@pytest.mark.parametrize("path", subcommands())
def test_every_subcommand_is_in_the_readme_and_has_help(path):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    group, _, name = path.rpartition(" ")
    pattern = rf"fer-bench {group}[^`\n]*\b{name}\b" if group else rf"fer-bench {name}\b"
    assert re.search(pattern, readme), f"the README does not mention 'fer-bench {path}'"
    command = subcommands()[path]
    assert command.help
    for parameter in command.params:
        assert getattr(parameter, "help", "") or parameter.param_type_name == "argument", (
            f"{path}: {parameter.name} has no help"
        )


def test_the_plugin_of_the_readme_works(write_plugin):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    write_plugin("my-package", code)
    strategy = Registry.load().strategy("weak-probe")
    assert make_plan(strategy).phases[0].c == 1e-4


def test_the_tests_that_are_said_to_hold_a_kind_of_fault_are_there():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs" / "campaign.md").read_text(encoding="utf-8")))
    files = [*ROOT.glob("tests/test_*.py"), *ROOT.glob("plugins/*/tests/test_*.py")]
    defined = {
        name for file in files for name in re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE)
    }
    assert len(named) > 50
    assert named <= defined
