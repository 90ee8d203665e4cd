"""The door from Python: every name, and none of them with PyTorch before it is needed."""

import subprocess
import sys

import pytest

import pyramid_attention


def without(modules: str, code: str) -> None:
    """Run code in a Python of its own and check that it has not imported any of some modules."""
    check = f"\nimport sys; found = set('{modules}'.split()) & set(sys.modules); assert not found, found"
    done = subprocess.run([sys.executable, "-c", code + check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


HEAVY = "torch torchvision timm lightning onnx onnxruntime matplotlib"


@pytest.mark.parametrize(
    "code",
    [
        "import pyramid_attention as p; dir(p); p.Segmenter, p.Segmentation, p.ClassTable, p.evaluate",
        "import pyramid_attention.training as t; t.load_recipe('finetune', {'model.init': 'nowhere', 'seed': 3})",
        "import pyramid_attention.training as t; t.list_recipes(); t.Recipe()",
        "from pyramid_attention.studies.study import load_study; load_study('gau')",
        "from pyramid_attention.cli import main; main(['train', '--help']); main(['ablate', '--help'])",
        "from pyramid_attention.cli import main; assert not main(['data', 'inspect', 'shapes', '--split', 'val'])",
    ],
)
def test_looking_around_needs_no_torch(code: str) -> None:
    without(HEAVY, code)


def test_the_advice_on_data_reads_recipes_without_pydantic() -> None:
    code = "import pyramid_attention.training.recipe_files as f, pyramid_attention.data.advice; f.built_in_crops()"
    without(HEAVY + " pydantic", code)


def test_every_name_is_there_and_stays_when_rooms_are_imported() -> None:
    from pyramid_attention.export import export
    from pyramid_attention.export.exporter import export as written_there

    assert pyramid_attention.export is export is written_there
    for name in set(pyramid_attention.__all__) - {"__version__"}:
        assert callable(getattr(pyramid_attention, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        _ = pyramid_attention.nonsense
