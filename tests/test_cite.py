"""What to cite: entries of plugins' own files, of data sets, and of what is not installed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from tiny_run import invoke

from fer_bench.about import __version__
from fer_bench.errors import FerBenchError
from fer_bench.registry import Registry
from fer_bench.reports.citations import cite, read_entries

OWN = {"fer-bench-xception", "fer-bench-strategies"}


def keys_of(text: str) -> list[str]:
    return re.findall(r"^@\w+\{([^,\s]+),$", text, re.MULTILINE)


def test_stored_results_name_what_they_used(tiny):
    assert (
        invoke("run", "--dataset", "squares", "--backbone", "net", "--strategy", "probe", "--folds", "3").exit_code == 0
    )
    text = invoke("cite").stdout
    assert keys_of(text)[:2] == ["fer-bench", "squares"]
    assert __version__ in text
    assert re.search(r"^% backbone net of ", text, re.MULTILINE)
    assert invoke("cite").stdout == text


def test_entries_come_from_the_files_of_plugins_once_each():
    names = [
        ("dataset", "fer-bench-datasets", "fer2013"),
        ("backbone", "fer-bench-xception", "xception"),
        ("strategy", "fer-bench-strategies", "discriminative-lr"),
        ("strategy", "fer-bench-strategies", "gradual-unfreeze"),
        ("strategy", "fer-bench-strategies", "linear-probe"),
        ("strategy", "gone", "a\nb"),
    ]
    text = cite(names, Registry.load().plugins)
    assert keys_of(text) == ["fer-bench", "fer2013", "xception", "gradual-unfreeze+discriminative-lr"]
    assert "Goodfellow" in text
    assert "Chollet" in text
    comments = re.findall(r"^% (.*)$", text, re.MULTILINE)
    assert [comment.split(" of ")[0] for comment in comments] == ["strategy linear-probe", "strategy a b"]
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("distribution", sorted(OWN))
def test_each_entry_of_our_files_is_of_an_item_and_is_whole(distribution):
    (plugin,) = [plugin for plugin in Registry.load().plugins if plugin.distribution == distribution]
    entries = read_entries(plugin)
    assert set(entries) <= {item.name for _, item in plugin.items}
    spec = importlib.util.find_spec(plugin.module)
    assert spec
    assert spec.origin
    text = (Path(spec.origin).parent / "CITATION.bib").read_text(encoding="utf-8")
    assert set(keys_of(text)) == {re.match(r"@\w+\{([^,]+)", entry)[1] for entry in entries.values()}
    for entry in entries.values():
        assert entry.count("{") == entry.count("}")
        assert {"author", "title", "year"} <= set(re.findall(r"^  (\w+) = \{.*\},?$", entry, re.MULTILINE))


def test_an_empty_folder_has_nothing_to_cite(tmp_path):
    with pytest.raises(FerBenchError, match="none"):
        invoke("cite", "--runs-dir", str(tmp_path / "none"))
