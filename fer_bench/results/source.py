"""Which code ran: the version of a package, its git commit, and whether its files differ from that commit."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
from pathlib import Path

from fer_bench.results.outcomes import Source

TIMEOUT_S = 10


def describe(distribution: str, version: str, module_file: str | None) -> Source:
    """Return what is known of the source of an installed package.

    Args:
        distribution: its name.
        version: of the distribution.
        module_file: the file of its module, whose folder is looked up in git; None if there is none.
    """
    commit, dirty, why = (
        _from_git(Path(module_file).parent, Path(module_file).name) if module_file else (None, None, "no file")
    )
    if commit is None and (installed := _from_direct_url(distribution)):
        commit, dirty, why = installed, False, ""
    return Source(version=version, commit=commit, dirty=dirty, why=why)


def _from_direct_url(distribution: str) -> str | None:
    """Return the commit that pip installed a package from (PEP 610), or None."""
    try:
        text = importlib.metadata.distribution(distribution).read_text("direct_url.json")
        commit = json.loads(text or "{}").get("vcs_info", {}).get("commit_id")
    except (importlib.metadata.PackageNotFoundError, OSError, ValueError, AttributeError):
        return None
    return commit if isinstance(commit, str) else None


def _from_git(folder: Path, name: str) -> tuple[str | None, bool | None, str]:
    """Return (commit, dirty, why not) of the work tree that tracks the file ``name`` in ``folder``.

    A package in a virtual environment inside somebody's work tree is not of that tree: the file must be tracked.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", "--", name)
        lines = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=normal", "--", ".").splitlines()
    except FileNotFoundError:
        return None, None, "git is not installed"
    except subprocess.TimeoutExpired:
        return None, None, f"git took longer than {TIMEOUT_S} s"
    except subprocess.CalledProcessError as error:
        owner = "dubious ownership" in (error.stderr or "")
        return None, None, "git refuses a work tree of another user" if owner else "not in a git work tree"
    except (OSError, UnicodeDecodeError):
        return None, None, "git cannot be run"
    head = next((line.removeprefix("# branch.oid ") for line in lines if line.startswith("# branch.oid ")), "(initial)")
    if head == "(initial)":
        return None, None, "nothing is committed yet"
    return head, any(not line.startswith("#") for line in lines), ""


def _git(folder: Path, *arguments: str) -> str:
    """Run git without hooks, prompts, locks or a file-system monitor, also if the work tree's settings ask for them."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"]
    return subprocess.run(
        [*command, "-C", str(folder), *arguments],
        env={**environment, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    ).stdout
