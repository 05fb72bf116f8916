"""A preprocessor of mdBook: a link that leaves docs/ becomes its text and the file's name in the repository."""

import json
import re
import sys
from pathlib import PurePosixPath

LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]*(?:\([^()]*\)[^()\s]*)*)\)")


def place(page: str, target: str) -> str | None:
    """Where a link of a page in docs/ points, from the repository's folder; None outside of it."""
    parts: list[str] = ["docs"]
    for part in [*PurePosixPath(page).parent.parts, *PurePosixPath(target).parts]:
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def told(page: str, match: re.Match[str]) -> str:
    picture, text, target = match.groups()
    path = target.split("#")[0]
    if not path or "://" in path or path.startswith("mailto:"):
        return match[0]
    found = place(page, path)
    if found is None or found.startswith("docs/"):
        return match[0]
    if picture:
        return f"*{text}* (`{found}`)"
    name = text.strip("`")
    return f"`{found}`" if found.endswith(name) else f"{text} (`{found}`)"


def mended(page: str, text: str) -> str:
    """Blocks of code stay as they are."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(it if it.startswith("```") else LINK.sub(lambda match: told(page, match), it) for it in parts)


def visit(item: dict) -> None:
    if "Chapter" in item:
        chapter = item["Chapter"]
        if chapter.get("path"):
            chapter["content"] = mended(chapter["path"], chapter["content"])
        for inner in chapter["sub_items"]:
            visit(inner)


if __name__ == "__main__":
    if sys.argv[1:2] == ["supports"]:
        sys.exit(0)
    _, book = json.load(sys.stdin)
    for item in book.get("items", book.get("sections", [])):
        visit(item)
    json.dump(book, sys.stdout)
