"""The hooks are documented, and typed as a plugin's author reads them."""

from __future__ import annotations

import inspect

import pytest

from fer_bench import hookspecs

HOOKS = {name: value for name, value in vars(hookspecs).items() if name.startswith("fer_bench_")}


def test_the_hooks_are_found():
    assert len(HOOKS) >= 6


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_docstring_and_types(name):
    hook = HOOKS[name]
    assert (hook.__doc__ or "").strip()
    signature = inspect.signature(hook)
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
