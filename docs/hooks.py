"""Lets pages link to files of the repository that lie outside of docs/."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PICTURE = re.compile(r"!\[([^\]]*)\]\(\.\./([^)]+)\)")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(\.\./([^)]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pictures that pages take from elsewhere in the repository."""
    for page in sorted((ROOT / "docs").glob("*.md")):
        for _, name in PICTURE.findall(page.read_text(encoding="utf-8")):
            if files.get_file_from_path(f"repository/{name}") is None:
                source = str(ROOT / name)
                files.append(File.generated(config, f"repository/{name}", abs_src_path=source))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """Point pictures of the repository at their place on the site, and links at its host.

    Without a ``repo_url`` there is no host: a link becomes plain text.
    """
    if page.file.src_uri.count("/"):
        return markdown
    markdown = PICTURE.sub(r"![\1](repository/\2)", markdown)
    link = rf"[\1]({config.repo_url}/blob/main/\2)" if config.repo_url else r"\1"
    return LINK.sub(link, markdown)
