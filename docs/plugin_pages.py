"""A hook of mkdocs: the READMEs of the plugins, the changelog and the guide of contributors are pages of the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent


def on_files(files: Files, config: Any) -> Files:
    """Add the pages; links to documents become links within the site."""
    readmes = {f"plugins/{path.parent.name}.md": path for path in sorted(ROOT.glob("plugins/*/README.md"))}
    others = {name.lower(): ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")}
    for page, path in {**readmes, **others}.items():
        up = "../" * page.count("/")
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"\]\((?:\.\./)*docs/", f"]({up}", text)
        text = re.sub(r"\]\((?:\.\./)*README\.md\)", f"]({up}index.md)", text)
        files.append(File.generated(config, page, content=text))
    return files
