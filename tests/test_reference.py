"""The reference pages name every hook with its exact signature, every subcommand and spec; cards tell where from."""

from __future__ import annotations

import importlib.util
import re
from importlib.metadata import version
from pathlib import Path

import pytest
from command_line import subcommands
from packaging.version import Version

from fer_bench.registry import Registry
from fer_bench.specs import BackboneSpec, DatasetSpec

DOCS = Path(__file__).parents[1] / "docs"


def _generator():
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _generator()
HOOKS = GENERATE.hook_signatures()


@pytest.mark.skipif(Version(version("pydantic")) < Version("2.13"), reason="leaves descriptions out")
def test_the_published_schemas_are_those_of_the_records():
    for name, text in GENERATE.schemas().items():
        assert (DOCS / name).read_text(encoding="utf-8") == text, f"docs/{name} is old: run 'python docs/generate.py'"


@pytest.mark.parametrize(
    ("page", "written"), [("commands.md", "commands"), ("specs.md", "specifications"), ("expect.md", "expectations")]
)
def test_the_generated_pages_are_those_of_this_code(page, written):
    committed = (DOCS / page).read_text(encoding="utf-8")
    assert committed == getattr(GENERATE, written)(), f"docs/{page} is old: run 'python docs/generate.py' and commit it"


def test_the_commands_page_has_every_subcommand():
    headings = re.findall(r"^## fer-bench (.*)$", (DOCS / "commands.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(subcommands())


def test_the_hooks_page_has_the_hooks_and_no_others():
    headings = re.findall(r"^### (\S+)$", (DOCS / "hooks.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(HOOKS)
    assert len(HOOKS) >= 7


@pytest.mark.parametrize("hook", HOOKS)
def test_the_hooks_page_has_the_exact_signature_and_says_when(hook):
    page = (DOCS / "hooks.md").read_text(encoding="utf-8")
    section = page.partition(f"### {hook}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    (shown,) = re.findall(r"```python\n(.*?)\n```", section, re.DOTALL)
    assert shown == HOOKS[hook], f"docs/hooks.md shows another signature of {hook}"
    assert len(section.partition("```python")[2].partition("```")[2].split()) >= 10, f"{hook} has no words"


def _card(page: str, name: str) -> str:
    """Return the section of an item, as one line without Markdown's code marks."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert f"\n## {name}\n" in text, f"docs/{page} has no card of {name!r}"
    return " ".join(text.partition(f"\n## {name}\n")[2].partition("\n## ")[0].split())


@pytest.mark.parametrize("name", [name for name, _, _ in Registry.load().specs("dataset")])
def test_every_data_set_has_a_card_with_its_terms(name):
    spec = Registry.load().dataset(name).spec
    assert isinstance(spec, DatasetSpec)
    card = _card("data-cards.md", spec.name)
    for told in (spec.licence, spec.citation, *spec.labels, *spec.splits):
        assert told in card, f"the card of {name} does not say {told!r}"
    for parameter in set(spec.params.model_fields) - {"split"}:
        assert re.search(rf"\b{parameter}\b", card), f"the card of {name} does not tell of {parameter!r}"
    assert re.search(r"\*\*(Layouts?|Parameters):\*\*", card)
    assert "**Defects:**" in card or name in ("folder", "manifest")


@pytest.mark.parametrize("name", ["xception", "mini-xception", "onnx"])
def test_every_backbone_has_a_card_with_the_origin_of_its_weights(name):
    spec = Registry.load().backbone(name).spec
    assert isinstance(spec, BackboneSpec)
    card = _card("model-cards.md", name)
    for weights in spec.weights:
        assert weights.source in card
        assert f"**Licence:** {weights.licence}" in card
    assert "**Licence:**" in card
