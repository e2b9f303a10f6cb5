"""Files that parameters name, such as ``onnx[card=nets/card.yaml]``: found again where only name and hash are recorded.

A record holds the last part of a path and the sha256 of the content, since folders mean nothing on another machine. The
cache folder of this machine remembers under the two where the file lay.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fer_bench import brackets, memos
from fer_bench.errors import FerBenchError, MissingError, bullet_list
from fer_bench.plugins import Kind
from fer_bench.registry import Registry, file_sha256, marked

KIND = "places"
"""Of the facts in the cache folder."""


def remember(files: Mapping[str, Path], digests: Mapping[str, str], cache_dir: Path) -> None:
    """Remember where files lie; a cache folder that cannot be written remembers nothing.

    Args:
        files: the files by parameter; see `fer_bench.registry.Component.files`.
        digests: their sha256 by parameter.
        cache_dir: the cache folder.
    """
    with suppress(OSError):
        for name, file in files.items():
            memos.remember(cache_dir, KIND, _key(file.name, digests[name]), os.fsencode(file.absolute()))


@dataclass(frozen=True)
class Places:
    """Where a record's files are looked for on this machine.

    Attributes:
        registry: of the installed plugins.
        folders: in their order; the working directory comes after them.
        cache_dir: the cache folder, which remembers where files lay.
        owner: what needs the files, for messages: ``Cell 3f2a``.
    """

    registry: Registry
    folders: Sequence[Path]
    cache_dir: Path
    owner: str

    def locate(self, kind: Kind, text: str, digests: Mapping[str, str]) -> str:
        """Return the text of a component with the files that it names where they lie here.

        A file counts only by its content, so a folder may hold others of the same name.

        Args:
            kind: of the component.
            text: as it was recorded; of a path only the last part is used.
            digests: sha256 of the content by parameter.

        Raises:
            MissingError: files are not here; all of them in one message, each with what lies there in its place.
            FerBenchError: there is no such component, or a folder that was named is none.
        """
        if strange := [str(folder) for folder in self.folders if not folder.is_dir()]:
            raise FerBenchError(
                f"--files-in: {', '.join(map(repr, strange))} is no folder; name one that holds the files."
            )
        _, spec, values = self.registry.read(kind, text)
        places: dict[str, str] = {}
        lines: list[str] = []
        for parameter in marked(spec.params, "file"):
            if not (value := str(values.get(parameter, ""))):
                continue
            name, recorded = Path(value).name, digests.get(parameter, "")
            candidates = {file: file_sha256(file) for file in self._candidates(name, recorded)}
            if same := [file for file, digest in candidates.items() if digest == recorded]:
                places[parameter] = str(same[0])
                continue
            mismatches = [f"; {str(file)!r} is another, sha256 {digest}" for file, digest in candidates.items()]
            expected = f"sha256 {recorded or 'not recorded'}"
            lines.append(f"{parameter} {name!r} of {kind} {spec.name!r}, {expected}{''.join(mismatches)}")
        if lines:
            looked = ", ".join(repr(str(folder)) for folder in self._folders())
            raise MissingError(
                f"{self.owner} needs files that are not here:\n{bullet_list(lines, len(lines))}\nLooked in {looked}, "
                "and where they lay when they were last used on this machine. Name the folder that holds them with "
                "--files-in FOLDER."
            )
        return brackets.rewrite(kind, text, places) if places else text

    def _folders(self) -> list[Path]:
        return list(dict.fromkeys(folder.absolute() for folder in (*self.folders, Path())))

    def _candidates(self, name: str, digest: str) -> Iterator[Path]:
        """Yield the files of that name that are there."""
        remembered = memos.recall(self.cache_dir, KIND, _key(name, digest))
        places = [folder / name for folder in self._folders()]
        places += [Path(os.fsdecode(remembered))] if remembered else []
        yield from (file for file in dict.fromkeys(places) if file.is_file())


def _key(name: str, digest: str) -> dict[str, str]:
    return {"name": name, "sha256": digest}
