"""Several processes train as one: what a step computes, who says an error, and how a run of several ends."""

import socket
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import torch
from lightning.fabric.plugins.environments import SLURMEnvironment
from torch import Tensor, nn

from pyramid_attention.data.loading import EpochSampler, ProcessBatches
from pyramid_attention.errors import UserError
from pyramid_attention.files import InUse
from pyramid_attention.models import SegmentationModel, build_model
from pyramid_attention.models.blocks import Norm, convert_sync_batchnorm
from pyramid_attention.training import processes
from pyramid_attention.training.losses import CrossEntropy, Dice, Distillation, OhemCrossEntropy, SumOfLosses

CLASSES, IMAGES = 4, 5  # of the images one process gets two and the other three
LOSSES = {
    "cross_entropy": lambda: CrossEntropy(),
    "weighted": lambda: CrossEntropy((0.5, 1.0, 2.0, 0.0), smoothing=0.1),
    "ohem by threshold": lambda: OhemCrossEntropy(0.26, 0.1),
    "ohem by share": lambda: OhemCrossEntropy(0.0, 0.3),
    "dice": lambda: Dice(),
    "sum": lambda: SumOfLosses(CrossEntropy(), Dice()),
    "teacher": lambda: FromZeros(),
}
SINGLE = ("dice", "sum", "teacher")  # these compute in single precision


class FromZeros(Distillation):
    """The distance to a teacher that finds all classes alike."""

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(logits, torch.zeros_like(logits), labels)


def batch() -> tuple[Tensor, Tensor]:
    """Images and labels: the first image is void, so that the processes have quite different counts."""
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(IMAGES, 3, 40, 48, generator=generator, dtype=torch.float64)
    labels = torch.randint(CLASSES, (IMAGES, 40, 48), generator=generator)
    labels[labels == 3] = 255
    labels[0], labels[3, :20] = 255, 3
    return images, labels


def network() -> SegmentationModel:
    torch.manual_seed(0)
    net = build_model("pan", num_classes=CLASSES, backbone="test_resnet", pretrained=False, channels=8)
    nn.init.normal_(net.head.weight, std=0.3)
    return net.double().train()


def step(net: SegmentationModel, loss: nn.Module, share: slice) -> tuple[float, dict[str, Tensor]]:
    """The loss of a step, and all that it leaves: gradients, as the mean of the processes', and buffers."""
    images, labels = (one[share] for one in batch())
    net.zero_grad()
    value = loss(net(images), labels)
    value.backward()
    state = {name: processes.sum_tensor(one.grad) / processes.count() for name, one in net.named_parameters()}
    return value.item(), {**state, **net.state_dict()}


def as_one_of_two() -> dict[str, Any]:
    """What a process of two computes, all of it in one start."""
    launcher = processes.find_launcher()
    assert launcher is not None
    with processes.joined(launcher, "cpu") as layout:
        share = slice(0, 2) if processes.is_first() else slice(2, 5)
        found: dict[str, Any] = {
            "layout": layout,
            "count": processes.count(),
            "ranks": processes.gather(processes.rank()),
        }
        found["steps"] = {
            name: step(convert_sync_batchnorm(network()), loss().double(), share) for name, loss in LOSSES.items()
        }
        single = convert_sync_batchnorm(nn.Sequential(Norm(2))).double()
        found["single"] = processes.gather(
            single(torch.full((1, 2, 1, 1), 1.0 + processes.rank(), dtype=torch.float64))
        )
        found["shared"] = processes.share(f"from {processes.rank()}")
        found |= {name: processes.gather(said) for name, said in outcomes()}
        found["gathered"] = processes.gather_tensor(torch.arange(1.0 + processes.rank()))
        return found


@pytest.fixture(scope="module")
def of_two() -> dict[str, Any]:
    return processes.launch(2, as_one_of_two)


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_of_two_processes_is_that_of_one(of_two: dict[str, Any], name: str) -> None:
    value, state = of_two["steps"][name]
    expected, wanted = step(network(), LOSSES[name]().double(), slice(None))
    exact = name not in SINGLE
    assert value == pytest.approx(expected, rel=1e-12 if exact else 1e-6)
    assert state.keys() == wanted.keys()
    for key, tensor in wanted.items():
        torch.testing.assert_close(
            state[key],
            tensor,
            rtol=1e-8 if exact else 1e-4,
            atol=1e-10 if exact else 1e-6,
            msg=lambda text, key=key: f"{key}: {text}",
        )


def test_they_know_their_place_and_tell_one_another(of_two: dict[str, Any]) -> None:
    assert (of_two["layout"], of_two["count"], of_two["ranks"]) == (processes.Layout(2, 1), 2, [0, 1])
    assert of_two["shared"] == "from 0"
    assert of_two["gathered"].tolist() == [0, float("inf"), 0, 1]
    # One value a channel in each process is two in all: 1 and 2, of mean 1.5 and deviation 0.5.
    assert [one.flatten().tolist() for one in of_two["single"]] == [
        pytest.approx([-1] * 2, 1e-4),
        pytest.approx([1] * 2, 1e-4),
    ]


def test_the_first_says_what_went_wrong_in_any(of_two: dict[str, Any]) -> None:
    assert of_two["nothing wrong"] == ["", ""]
    assert of_two["wrong in both"] == ["InUse: 0 is in use", "ErrorElsewhere: "]
    first, second = of_two["wrong in the second"]
    assert first.startswith("UserError: 1 cannot be read (process 1, on ")
    assert second == "ErrorElsewhere: "
    assert of_two["wrong in the same way"] == ["UserError: diverged", "ErrorElsewhere: "]


def outcomes() -> Iterator[tuple[str, str]]:
    """What `together` and `fail` make of errors in this process, by name."""
    rank = processes.rank()

    def fault(kind: type[UserError], message: str, ranks: tuple[int, ...]) -> None:
        with processes.together():
            if rank in ranks:
                raise kind(message)

    cases: dict[str, Callable[[], object]] = {
        "nothing wrong": lambda: fault(UserError, "", ()),
        "wrong in both": lambda: fault(InUse, f"{rank} is in use", (0, 1)),
        "wrong in the second": lambda: fault(UserError, f"{rank} cannot be read", (1,)),
        "wrong in the same way": lambda: processes.fail("diverged"),
    }
    for name, case in cases.items():
        try:
            case()
            yield name, ""
        except UserError as error:
            yield name, f"{type(error).__name__}: {error}"


def test_alone_there_is_nobody_to_ask() -> None:
    values = torch.tensor([1.0, 2.0])
    assert processes.sum_tensor(values) is values
    assert processes.gather_tensor(values) is values
    assert processes.gather("x") == ["x"]
    with pytest.raises(InUse, match="taken"), processes.together():
        raise InUse("taken")
    with pytest.raises(UserError, match="diverged"):
        processes.fail("diverged")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
@pytest.mark.parametrize("drop_last", [True, False])
def test_a_step_has_the_same_images_however_many_processes_share_it(count: int, drop_last: bool) -> None:
    def epoch(number: int) -> list[list[tuple[int, int]]]:
        shares = []
        for rank in range(count):
            sampler = EpochSampler(23, seed=1)
            sampler.set_epoch(number)
            shares.append(ProcessBatches(sampler, 6, drop_last, rank, count))
        assert {len(one) for one in shares} == {3 + (not drop_last)}
        parts = list(zip(*shares, strict=True))
        assert all(max(map(len, step)) - min(map(len, step)) <= 1 for step in parts)
        return [[pair for part in step for pair in part] for step in parts]

    sampler = EpochSampler(23, seed=1)
    for number in (0, 1):
        sampler.set_epoch(number)
        order = list(sampler)
        whole = [order[begin : begin + 6] for begin in range(0, 23, 6)]
        assert epoch(number) == (whole[:3] if drop_last else whole)


def test_other_versions_or_sizes_of_nodes_are_refused() -> None:
    mine, theirs = {"torch": "2.9", "Python": "3.11"}, {"torch": "2.8", "Python": "3.11"}
    assert processes.agree([("a", 0, mine), ("a", 0, mine), ("b", 1, mine), ("b", 1, mine)]) == processes.Layout(2, 2)
    with pytest.raises(UserError, match=r"a has torch 2.9 but b has 2.8; install the same version on all nodes"):
        processes.agree([("a", 0, mine), ("b", 1, theirs)])
    with pytest.raises(UserError, match=r"the nodes run \[1, 2\] processes; start as many on each"):
        processes.agree([("a", 0, mine), ("a", 0, mine), ("b", 1, mine)])


@pytest.mark.parametrize("rank", [0, 1])
def test_a_node_that_cannot_be_reached_is_one_line(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setattr(processes, "JOIN", timedelta(seconds=1))
    slurm = {"SLURM_NTASKS": 2, "SLURM_PROCID": rank, "SLURM_LOCALID": 0, "SLURM_NODEID": rank, "SLURM_JOB_NAME": "pan"}
    for name, value in {**slurm, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    with pytest.raises(UserError, match="tell it --ntasks-per-node instead"):
        processes.find_launcher()
    monkeypatch.setenv("SLURM_NTASKS_PER_NODE", "1")
    launcher = processes.find_launcher()
    assert isinstance(launcher, SLURMEnvironment)
    with (
        pytest.raises(
            UserError, match=rf"process {rank} of 2 on .* does not meet the others at 127.0.0.1:{port} within 1 s"
        ),
        processes.joined(launcher, "cpu"),
    ):
        pass


def test_one_task_of_slurm_is_no_run_of_several(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "pan", "SLURM_PROCID": "0"}.items():
        monkeypatch.setenv(name, value)
    assert processes.find_launcher() is None


class Local:
    """No other process can import it."""

    def __reduce__(self) -> str:
        raise TypeError("cannot pickle")


def test_what_cannot_be_sent_is_said() -> None:
    with pytest.raises(UserError, match=r"have to reach several processes, and cannot \(cannot pickle\)"):
        processes.launch(2, len, Local())
