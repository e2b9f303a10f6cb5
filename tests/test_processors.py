"""What is kept for a kind of processors is not taken by another."""

from __future__ import annotations

import os

import pytest

from fer_bench import processors
from fer_bench.networks.source import BackboneSource

INFO = (
    "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nflags\t\t: fpu amx_bf16 sse2\n\nprocessor\t: 1\nmodel name\t: B\n"
)


@pytest.fixture
def cpuinfo(monkeypatch):
    """Give a text in place of /proc/cpuinfo; None for a system without it."""

    def give(text: str | None) -> None:
        def read_text(_: object, **__: object) -> str:
            if text is None:
                raise FileNotFoundError
            return text

        monkeypatch.setattr(processors.Path, "read_text", read_text)
        processors._facts.cache_clear()

    yield give
    monkeypatch.undo()
    processors._facts.cache_clear()


def test_linux_names_the_first_processor_and_what_it_can_do(cpuinfo):
    cpuinfo(INFO)
    assert processors.model() == "Some CPU @ 2 GHz"
    assert processors.instructions() == {"fpu", "amx_bf16", "sse2"}
    cpuinfo("processor\t: 0\nFeatures\t: fp asimd\n")
    assert processors.instructions() == {"fp", "asimd"}
    cpuinfo(None)
    assert processors.instructions() == frozenset()
    assert processors.count() >= 1


def test_a_kind_differs_by_number_and_by_instructions(cpuinfo, monkeypatch):
    kinds = set()
    for text in (INFO, INFO.replace("amx_bf16 ", ""), None):
        cpuinfo(text)
        for allowed in ({0}, {0, 1}):
            monkeypatch.setattr(os, "sched_getaffinity", lambda _, own=allowed: own, raising=False)
            kinds.add(processors.kind())
    assert len(kinds) == 6


def test_speeds_and_batches_are_those_of_a_kind_and_other_facts_are_of_all(tmp_path, monkeypatch):
    source = BackboneSource(None, {"name": "net"}, tmp_path)  # type: ignore[arg-type]
    for kind in ("rates", "batches", "flops"):
        source.remember(kind, "7", stop=1)
    source.record_rate(3, 20.0)
    assert source.known_rate(3) == 20.0
    monkeypatch.setattr(processors, "kind", lambda: "another")
    assert [source.recall(kind, stop=1) for kind in ("rates", "batches", "flops")] == [None, None, "7\n"]
    assert source.known_rate(3) is None
