"""The digest of a module's syntax: the same in every Python, for odd sources too."""

from __future__ import annotations

import warnings

import pytest

from fer_bench.interface import declared_version
from fer_bench.syntax import read_module

SAMPLE = '''
from ..b import c as d
X: int = 0x_ff; Y = None; Z = ...; W = b"x\\xff"; V = 1_0.5e300j; S = u"ü\U0001fae8\\n" "b"; T = -3, not True
def f(a, /, b=1, *args, c, e: "int" = None, **kw) -> None:
    """Doc."""
    x = f"{a!r:>{b}} {c=} {'in' + 'ner'}", f"pre" "mid" f"{a}" "post", f"{a}"
    return {**kw, "a": [*args], 1: (yield), **{}}
async def g():
    async with a as b, c: pass
    return [i async for i in x if i]
class C(object, metaclass=type):
    @property
    def z(self): return self._z[1:2, ::3, ...]
try:
    raise ValueError from None
except (ValueError, OSError) as error:
    del error
finally:
    assert X, "no"
match x:
    case {"a": 1, **rest}: pass
    case [1, *others] | C(y=2) if X: pass
    case -1 | None | "s": pass
lambda *a, b=2, **k: (a := b) if not a < b <= 3 else ~a @ b
'''


def test_a_digest_is_the_same_in_every_version_of_python(tmp_path):
    """The number was read in Python 3.11.7, 3.12.1 and 3.13.0."""
    (tmp_path / "sample.py").write_text(SAMPLE, encoding="utf-8")
    assert (
        read_module(tmp_path / "sample.py").digest == "88ba1a716c77fbb6eb96e67c181e4f7a313cd40ac1b6c7cb194d7c07837b02a8"
    )


@pytest.mark.parametrize(
    "text",
    ["x = '" + "\\0" * 9 + "'", "x = " + "-" * 90 + "1", "x = " + "+".join("a" * 5000), "print 1", "\0", "", "\ufeffx"],
)
def test_odd_sources_have_digests(tmp_path, text):
    (tmp_path / "odd.py").write_text(text, encoding="utf-8")
    first = read_module(tmp_path / "odd.py").digest
    (tmp_path / "odd.py").write_text(f"{text}\ny = 1", encoding="utf-8")
    assert read_module(tmp_path / "odd.py").digest != first


def test_a_strangers_source_is_read_without_pythons_warnings_about_its_style(tmp_path, monkeypatch):
    """Python of some versions prints them, at the user who only lists plugins."""
    source = 'FER_BENCH_INTERFACE = 1\nPATTERN = "\\#" if 1 is 1 else ()\n'
    (tmp_path / "careless.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert "\\#" in read_module(tmp_path / "careless.py").strings
        assert declared_version("careless") == 1
