"""The tree of packages on the design page matches the source."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "design.md").read_text()
WIDTH = 19


def tree(package: Path, depth: int = 0) -> list[str]:
    """Return a line for a package and each one in it: its folder, and the first sentence of its docstring."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    sentence = " ".join(text.split("\n\n")[0].split()).partition(". ")[0].removesuffix(".")
    inside = sorted(path.parent for path in package.glob("*/__init__.py"))
    return [
        f"{'  ' * depth + package.name + '/':{WIDTH}}{sentence}",
        *(line for each in inside for line in tree(each, depth + 1)),
    ]


def test_the_tree_matches_the_packages() -> None:
    there = "\n".join(line for room in ("jobs", "pipeline", "encoder") for line in tree(ROOT / room))
    assert f"```text\n{there}\n```" in PAGE


def test_every_package_is_on_a_floor() -> None:
    rooms = {f"pipeline.{path.parent.name}" for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert {room for room in rooms if f"`{room}`" not in PAGE} == set()
