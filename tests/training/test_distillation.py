"""What a teacher adds to a training, and that it adds nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pyramid_attention import train
from pyramid_attention.artifacts import load_model, save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.models import SegmentationModel, build_model
from pyramid_attention.training import Recipe, load_recipe
from pyramid_attention.training.distillation import Teacher, load_teacher
from pyramid_attention.training.recipe import TrainRecipe
from pyramid_attention.training.task import SegmentationTask
from support import shaken

FIELDS = {
    "data": {"options": {"train": 4, "val": 1, "size": 32}, "crop": [32, 32], "workers": 0, "check": False},
    "model": {"backbone": "test_resnet", "pretrained": False, "options": {"channels": 8}},
    "train": {"epochs": 2, "batch_size": 2, "learning_rate": 0.01},
}


def network(classes: int = 7, **options: object) -> SegmentationModel:
    made = shaken(
        build_model("pan", num_classes=classes, backbone="test_resnet", pretrained=False, channels=8, **options)
    )
    assert isinstance(made, SegmentationModel)
    made.classes = ClassTable.of([f"class {i}" for i in range(classes)])
    return made


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert isinstance(state, dict)
    return state


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "untaught"
    train("shapes", "shapes", out=run, device="cpu", fields=FIELDS)
    return run


def taught(run: Path, teacher: Path, **fields: object) -> dict[str, torch.Tensor]:
    more = {f"train.{name}": value for name, value in fields.items()}
    train("shapes", "shapes", out=run, device="cpu", fields={**FIELDS, "train.teacher": str(teacher), **more})
    return weights(run)


def test_a_teacher_without_weight_changes_nothing(untaught: Path, tmp_path: Path) -> None:
    before, after = weights(untaught), taught(tmp_path / "run", untaught, teacher_weight=0)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_teacher_changes_the_weights_and_is_not_in_the_checkpoint(untaught: Path, tmp_path: Path) -> None:
    before, after = weights(untaught), taught(tmp_path / "run", untaught)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["epochs"] == 2


def test_a_step_adds_the_divergence_of_the_same_crop_under_each_networks_normalisation() -> None:
    """Against the definition in float64; the student's statistics are others than the teacher's."""
    recipe = load_recipe(Recipe(), {**FIELDS, "train.loss": "cross_entropy"})
    student, teacher = network().eval(), network().eval()
    with torch.no_grad():
        teacher.head.bias += torch.arange(7.0)
    student.mean, student.std = (0.3, 0.4, 0.5), (0.2, 0.2, 0.3)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (2, 3, 32, 40), generator=generator, dtype=torch.uint8)
    masks = torch.randint(7, (2, 32, 40), generator=generator, dtype=torch.uint8)
    masks[:, :5] = 255
    both = []
    for one in (student, teacher):
        mean, std = (torch.tensor(values, dtype=torch.float64).view(1, 3, 1, 1) for values in (one.mean, one.std))
        with torch.no_grad():
            both.append(one(((images.double() / 255 - mean) / std).float()).double().log_softmax(1))
    labelled = masks != 255
    divergence = (both[1].exp() * (both[1] - both[0])).sum(1)[labelled].mean()
    truth = masks.long().clamp_max(6).unsqueeze(1)
    cross_entropy = -both[0].gather(1, truth).squeeze(1)[labelled].mean()
    task = SegmentationTask(student, recipe, 1, Teacher(teacher, weight=3.0, temperature=1.0))
    found = task.training_step({"image": images, "mask": masks}, 0)
    assert divergence > 0.01
    assert found.item() == pytest.approx((cross_entropy + 3 * divergence).item(), rel=1e-4)


def test_a_teacher_is_as_it_was_after_a_step() -> None:
    teacher = network()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    task = SegmentationTask(network(), load_recipe(Recipe(), FIELDS), 1, Teacher(teacher, 1.0, 2.0))
    pixels, masks = torch.zeros(2, 3, 32, 32, dtype=torch.uint8), torch.zeros(2, 32, 32, dtype=torch.uint8)
    task.training_step({"image": pixels, "mask": masks}, 0).backward()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not {id(one) for one in teacher.parameters()} & {id(one) for one in task.parameters()}


@pytest.mark.parametrize(
    ("teacher", "says"),
    [
        (lambda: network(5), "has other classes \\(class 0, .*class 4\\) than the data set \\(class 0, .*class 6\\)"),
        (lambda: network(in_channels=4), "takes images of 4 channels, and the network that is trained of 3"),
    ],
    ids=["classes", "channels"],
)
def test_a_teacher_of_something_else_is_refused(teacher, says: str, tmp_path: Path) -> None:
    save_model(teacher(), tmp_path / "teacher")
    with pytest.raises(UserError, match=says):
        load_teacher(TrainRecipe(teacher=str(tmp_path / "teacher")), network())


def test_the_packaged_models_can_teach() -> None:
    student = network(11)
    student.classes = load_model("pan-street").classes
    teacher = load_teacher(TrainRecipe(teacher="pan-street-l", teacher_temperature=2.0), student)
    assert teacher is not None
    assert teacher.network.backbone.name == "tf_efficientnet_lite0"
    assert not teacher.network.training
