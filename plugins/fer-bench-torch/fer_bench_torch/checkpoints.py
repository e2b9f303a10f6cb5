"""Files of weights that others wrote: read without running their code, and checked with the module that takes them."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fer_bench.errors import FerBenchError, bullet_list
from fer_bench_torch.libraries import import_torch

State = dict[str, Any]
"""Tensors by name."""

HOLDERS = ("state_dict", "model_state_dict", "model")
"""Under which programs for training keep the weights beside the optimizer's state."""
WRAPPERS = ("module.", "_orig_mod.")
"""What torch's wrappers for several devices and for compiled modules put before every name."""
UNUSED = "num_batches_tracked"
"""A counter of BatchNorm that old files lack and that no answer depends on."""
SHOWN = 5
"""Names of code that a message lists."""
REWRITE = (
    "If you trust the file, load it where it was made and save the weights by themselves: "
    "torch.save(model.state_dict(), 'weights.pth')."
)


def read(file: Path) -> State:
    """Return the tensors of a safetensors file or of a file that ``torch.save`` wrote; nothing in it is executed.

    Raises:
        FerBenchError: it cannot be read, needs code to be read, or holds something else than finite tensors by name.
    """
    content: Any = _read_safetensors(file) if file.suffix == ".safetensors" else _read_pickle(file)
    holder = next((name for name in HOLDERS if isinstance(content, Mapping) and name in content), None)
    state = content[holder] if holder else content
    torch = import_torch()
    if not isinstance(state, Mapping) or not state:
        raise FerBenchError(f"{str(file)!r} holds {_kind(state)}; expected tensors by name. {REWRITE}")
    strange = [f"{name}: {_kind(value)}" for name, value in state.items() if not isinstance(value, torch.Tensor)]
    if strange:
        raise FerBenchError(
            f"{str(file)!r} holds values that are no tensors; expected tensors by name, at the top or under "
            f"{', '.join(map(repr, HOLDERS))}:\n{bullet_list(strange)}\n{REWRITE}"
        )
    infinite = [name for name, value in state.items() if value.is_floating_point() and not value.isfinite().all()]
    if infinite:
        raise FerBenchError(f"{str(file)!r} holds numbers that are not finite, in:\n{bullet_list(infinite)}")
    return _unwrapped({str(name): value for name, value in state.items()})


def check(module: Any, state: Mapping[str, Any], source: str, ignore: tuple[str, ...] = ()) -> None:
    """Hold tensors against a module that is to take them.

    Args:
        module: a ``torch.nn.Module``.
        state: tensors by name.
        source: where they come from, for the message.
        ignore: beginnings of names that the module need not have.

    Raises:
        FerBenchError: names are missing, unexpected or have another shape; all of them in one message.
    """
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in state.items()}
    lines = [f"missing: {name} {expected[name]}" for name in expected if name not in given and UNUSED not in name]
    lines += [
        f"unexpected: {name} {given[name]}" for name in given if name not in expected and not name.startswith(ignore)
    ]
    lines += [
        f"shape: {name} is {given[name]}, expected {shape}"
        for name, shape in expected.items()
        if name in given and given[name] != shape
    ]
    if lines:
        raise FerBenchError(
            f"{source} does not hold the weights of {type(module).__name__}: {len(lines)} of {len(expected)} tensors "
            f"do not fit.\n{bullet_list(lines, len(lines))}"
        )


def _read_safetensors(file: Path) -> object:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError, ValueError, TypeError, AttributeError, KeyError, RuntimeError) as error:
        raise FerBenchError(f"Cannot read {str(file)!r} as safetensors: {error}. Is the file complete?") from None


def _read_pickle(file: Path) -> object:
    torch = import_torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of the protocol of a pickle, which is told where it fails
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        foreign = _foreign_names(file) or re.findall(r"GLOBAL ([\w.]+)", str(error))
        more = f" and {len(foreign) - SHOWN} more" if len(foreign) > SHOWN else ""
        what = f"it names {', '.join(foreign[:SHOWN])}{more}" if foreign else _first(error)
        raise FerBenchError(
            f"{str(file)!r} holds more than tensors: {what}. Files of weights are read with weights_only=True, so that "
            f"no code in them runs. {REWRITE}"
        ) from None
    except OSError as error:
        raise FerBenchError(f"Cannot read {str(file)!r}: {error.strerror or error}.") from None
    except Exception as error:  # torch's reader has no common class of errors
        raise FerBenchError(
            f"Cannot read {str(file)!r} as a file of torch.save: {_first(error)}. Is the file complete?"
        ) from None


def _foreign_names(file: Path) -> list[str]:
    """Return what a file of ``torch.save`` would import, as it says without being executed; empty if unknown."""
    torch = import_torch()
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
    except (OSError, ValueError, RuntimeError, pickle.UnpicklingError, zipfile.BadZipFile):
        return []


def _unwrapped(state: State) -> State:
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            return _unwrapped({name.removeprefix(wrapper): value for name, value in state.items()})
    return state


def _first(error: Exception) -> str:
    """Return the first sentence of a message of torch; what follows advises to run the code of the file."""
    return " ".join(str(error).split()).partition(". ")[0] or type(error).__name__


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"
