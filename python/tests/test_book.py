"""Every block of Python in the book runs: those of a page in order, in one namespace, in a folder of their own."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch

BOOK = Path(__file__).parents[2] / "docs" / "book"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[int, str]]:
    """The blocks of a page, each with the line of the page that it follows."""
    text = page.read_text()
    return [(text.count("\n", 0, it.start(1)), it[1]) for it in BLOCK.finditer(text)]


PAGES = sorted(page for page in BOOK.rglob("*.md") if blocks(page))


def test_all_pages_with_recipes_are_here() -> None:
    names = {page.name for page in PAGES}
    recipes = {page.name for page in (BOOK / "cookbook").glob("*.md")} - {"rust.md"}
    assert len(recipes) == 10 and recipes | {"python.md"} <= names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(BOOK).as_posix())
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    namespace: dict[str, object] = {"__name__": "page"}
    for line, block in blocks(page):
        # So that a failure shows the line of the page.
        exec(compile("\n" * line + block, str(page), "exec"), namespace)


def test_a_link_out_of_the_book_becomes_the_name_of_the_file() -> None:
    spec = importlib.util.spec_from_file_location("outside", BOOK / "outside.py")
    assert spec is not None and spec.loader is not None
    outside = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(outside)
    inside = "[rules](../rules.md#cap) [web](https://burn.dev) ![σ](figures/sigma-gan.svg)"
    assert outside.mended("book/faq.md", inside) == inside
    assert outside.mended("book/faq.md", "[`a.toml`](../../examples/a.toml)") == "`examples/a.toml`"
    assert outside.mended("guide.md", "[the design](../DESIGN.md#why)") == "the design (`DESIGN.md`)"
    code = "```text\n[a](../../b.md)\n```"
    assert outside.mended("book/faq.md", code) == code
