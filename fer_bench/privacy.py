"""Take secrets, user names and folders out of a text before it is stored beside results that people share."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import re
from pathlib import Path
from typing import Any

HIDDEN = "<hidden>"

_SECRET_NAME = re.compile(r"token|secret|passw|credential|api.?key|access.?key|auth|private", re.IGNORECASE)
_SECRET_ASSIGNMENT = re.compile(
    r"(?P<name>[\w-]*(?:token|secret|passw\w*|credentials?|api[-_]?key|access[-_]?key|auth\w*)[\w-]*)"
    r"(?P<equals>\s*[=:]\s*)(?P<value>(?:bearer\s+|basic\s+)?[^\s,\]]+)",
    re.IGNORECASE,
)
# Prefixes of well-known services, JSON web tokens, and credentials inside a URL.
_SECRET_FORM = re.compile(
    r"\b(?:gh[oprsu]_|github_pat_|glpat-|hf_|sk-|pk-|xox[abprs]-|AKIA|ASIA|AIza|pypi-)[\w-]{8,}"
    r"|\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"
    r"|(?<=://)[^\s/@]+(?=@)"
)
_PATH = re.compile(r"(?<![\w.\-~<>/])(?:file://)?(?:~|/(?=[^\s/])|[A-Za-z]:[\\/](?![\\/])|\\\\)[^\s'\",;:\]\[()<>]*")
_FLAG = re.compile(r"--?[\w.-]+(?:=(?:true|false|-?[0-9.]+(?:e-?[0-9]+)?|[A-Za-z][A-Za-z_]{0,30}))?", re.IGNORECASE)


def anonymise(text: str) -> str:
    """Return ``text`` without what tells who ran it or lets anybody in.

    Values of environment variables with a secret's name, what looks like a token, and what is assigned to a secret's
    name become ``<hidden>``; folders become ``<path>`` with the file's own name; the user's name becomes ``<user>``.

    Example:
        >>> anonymise("cannot read '/home/anna/data/fer2013.csv'")
        "cannot read '<path>/fer2013.csv'"
    """
    for value in _secrets():
        text = text.replace(value, HIDDEN)
    text = _SECRET_FORM.sub(HIDDEN, text)
    text = _SECRET_ASSIGNMENT.sub(lambda match: f"{match['name']}{match['equals']}{HIDDEN}", text)
    for home in _homes():
        text = text.replace(home, "~")
    text = _PATH.sub(_shorten, text)
    for user in _users():
        text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(user)}(?![A-Za-z0-9])", "<user>", text)
    return text


def hide(value: Any) -> Any:
    """Return the value of a parameter, plain JSON, without what is private; other values stay other values.

    A text that loses something ends in eight digits of its sha256, unless it held a secret.

    Example:
        >>> hide({"root": "/home/anna/faces", "n": 3})
        {'root': '<path>/faces#86a0be75', 'n': 3}
    """
    if isinstance(value, dict):
        return {key: hide(part) for key, part in value.items()}
    if isinstance(value, list):
        return [hide(part) for part in value]
    if not isinstance(value, str) or (anonymous := anonymise(value)) == value:
        return value
    return anonymous if HIDDEN in anonymous else f"{anonymous}#{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def anonymise_component(text: str) -> str:
    """Return ``name[param=value,…]`` with its parameters anonymised."""
    name, bracket, params = text.partition("[")
    return name + bracket + anonymise(params)


def anonymise_command(arguments: list[str]) -> list[str]:
    """Return command-line arguments, each anonymised; the value that follows a secret's option is hidden whole."""
    anonymous: list[str] = []
    for previous, argument in zip(["", *arguments], arguments, strict=False):
        after_secret = previous.startswith("-") and "=" not in previous and _SECRET_NAME.search(previous)
        anonymous.append(HIDDEN if after_secret else anonymise(argument))
    return anonymous


def clean_flags(text: str) -> str:
    """Return flags such as those in ``XLA_FLAGS``: only names, numbers and single words are kept as they are."""
    return " ".join(
        anonymise(flag) if _FLAG.fullmatch(flag) else f"{_flag_name(flag)}{HIDDEN}" for flag in text.split()
    )


def clean_word(text: str) -> str:
    """Return what a variable such as ``JAX_PLATFORMS`` holds if that is a few plain words or a number, else hide it."""
    return anonymise(text) if re.fullmatch(r"[A-Za-z]{1,12}(,[A-Za-z]{1,12})*|[0-9]{1,5}", text) else HIDDEN


def _flag_name(flag: str) -> str:
    name, equals, _ = flag.partition("=")
    return f"{anonymise(name)}=" if equals and _FLAG.fullmatch(name) else ""


def _shorten(match: re.Match[str]) -> str:
    """Return ``<path>/`` and the last part of a path, unless that is all there is of it or may be a home folder."""
    parts = [part for part in re.split(r"[\\/]", match[0].removeprefix("file://")) if part]
    home = len(parts) == 2 and parts[0].lower() in ("home", "users")
    return f"<path>/{parts[-1]}" if len(parts) > 1 and not home else "<path>"


def _secrets() -> list[str]:
    """Return the values of environment variables that are named as secrets, longest first."""
    values = {value for name, value in os.environ.items() if _SECRET_NAME.search(name) and len(value) >= 6}
    return sorted((value for value in values if not value.isdigit()), key=len, reverse=True)


def _homes() -> list[str]:
    homes = {os.environ.get("HOME", ""), os.environ.get("USERPROFILE", "")}
    with contextlib.suppress(RuntimeError):  # a user without a home folder
        homes.add(str(Path.home()))
    return sorted((home.rstrip("/\\") for home in homes if len(home) > 1), key=len, reverse=True)


def _users() -> list[str]:
    """Return the user's names of three letters or more; shorter ones stand in ordinary words."""
    users = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")}
    with contextlib.suppress(OSError, KeyError, ImportError):
        users.add(getpass.getuser())
    return sorted((user for user in users if len(user) > 2 and user != "root"), key=len, reverse=True)
