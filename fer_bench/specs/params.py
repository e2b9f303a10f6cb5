"""What every component has: a reference to its code, and parameters that users set in brackets and in YAML."""

from __future__ import annotations

import importlib
from typing import Any

from pydantic import BaseModel, ConfigDict

INTERFACE_VERSION = 1
"""The version of these contracts; it grows when a plugin written for the former one would break."""


def resolve(reference: str) -> Any:
    """Import and return what ``"package.module:attribute"`` names.

    Raises:
        ValueError: ``reference`` has another form.
        ImportError: the module cannot be imported, or has no such attribute.
    """
    module_name, colon, attribute = reference.partition(":")
    if not (module_name and colon and attribute):
        raise ValueError(f"{reference!r} is not of the form 'package.module:attribute'")
    module = importlib.import_module(module_name)
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise ImportError(f"module {module_name!r} has no attribute {attribute!r}") from error


class Params(BaseModel):
    """The parameters of a component, as a frozen pydantic model with a default for every field.

    Users set them as ``name[field=value,…]`` and in YAML; an unknown field or a value out of range is an error
    that names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
