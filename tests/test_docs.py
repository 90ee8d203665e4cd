"""The documents say what the code does."""

import re
from pathlib import Path

import pytest
import yaml

from pyramid_attention.training import Recipe, list_recipes

ROOT = Path(__file__).parent.parent


def test_every_recipe_field_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    table = dict(re.findall(r"^\| `([a-z_.]+)` \| (.*?) \|", text, re.MULTILINE))
    fields: dict[str, object] = {"seed": 0}
    for group in ("data", "model", "train"):
        defaults = getattr(Recipe(), group).model_dump(mode="json")
        fields |= {f"{group}.{name}": value for name, value in defaults.items()}
    documented = {name: yaml.safe_load(default) for name, default in table.items() if name in fields}
    assert documented == fields


def test_every_built_in_recipe_is_documented() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    assert sorted(re.findall(r"^\| `([a-z]+)` \| .* \| (?:scratch|ImageNet)", text, re.MULTILINE)) == list_recipes()


PAGES = sorted(ROOT.glob("*.md")) + sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_link_is_dead(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
