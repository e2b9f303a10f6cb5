"""Help and completion: every command shows examples that work, and the shell completes its names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import COMMAND, examples, parse, subcommands
from typer.testing import CliRunner

from fer_bench.cli import app


@pytest.mark.parametrize("path", subcommands())
def test_the_help_of_every_command_has_examples_that_parse(path):
    shown = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    found = examples(shown.stdout)
    assert found, f"'fer-bench {path} --help' shows no example"
    assert {parse(line) for line in found} == {path}


def test_the_first_help_has_examples_that_parse():
    found = examples(CliRunner().invoke(app, ["--help"]).stdout)
    assert len([parse(line) for line in found]) >= 3


def test_the_help_of_a_group_cuts_no_summary_of_a_command():
    for group in ("", *(name for name, command in COMMAND.commands.items() if hasattr(command, "commands"))):
        shown = CliRunner().invoke(app, [*group.split(), "--help"], env={"COLUMNS": "80"}).stdout
        commands = shown.partition("Commands:")[2].partition("Examples:")[0]
        assert len(re.findall(r"\.\n", commands)) >= 2
        assert "..." not in commands, group


def test_an_example_with_an_unknown_option_or_command_would_be_found():
    with pytest.raises(Exception, match="No such option: --jsn"):
        parse("fer-bench data list --jsn")
    with pytest.raises(AssertionError, match="no command 'data lst'"):
        parse("fer-bench data lst")


@pytest.mark.skipif(os.name == "nt", reason="bash")
def test_completion_is_installed_and_completes(tmp_path):
    """In a real bash, in a home of its own: install, source what was written, press the key."""
    script = tmp_path / "bin" / "fer-bench"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom fer_bench.cli import main\nsys.argv[0] = 'fer-bench'\nmain()\n"
    )
    script.chmod(0o755)
    keys = """
        fer-bench --install-completion
        source "$HOME/.bashrc"
        for words in "fer-bench infl" "fer-bench data ver" "fer-bench run --test-s"; do
            COMP_WORDS=($words) COMPREPLY=()
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _fer_bench_completion fer-bench "${COMP_WORDS[$COMP_CWORD]}" fer-bench
            echo "completed: ${COMPREPLY[*]}"
        done
    """
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", keys], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "completion installed" in done.stdout
    assert Path(tmp_path, ".bashrc").is_file()
    completed = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("completed:")]
    assert completed == [["inflation"], ["verify"], ["--test-split"]]
