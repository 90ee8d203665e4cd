"""The processes of a run: how they are started or found, how they meet, and what they tell one another.

One process computes on one device. On one machine `launch` starts them; on several torchrun or SLURM does, and
`find_launcher` knows their signs. All run the same program and meet in `joined`; what they then agree upon stands in
`together`, `share` and `gather`. In a run of one process these do nothing.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import platform
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from torch.distributed.rendezvous import rendezvous
from torch.multiprocessing.spawn import (
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    start_processes,
)

from ..artifacts.info import LIBRARY_VERSION
from ..errors import UserError
from ..inference.threads import machine_cores

T = TypeVar("T")
JOIN = timedelta(minutes=2)
"""How long processes wait for one another at the start."""
COLLECTIVE = timedelta(minutes=30)
"""How long they wait for one another later: the first may write a large file meanwhile."""
GRACE = 10.0
"""Seconds that a process waits before it ends because another has, so that whoever started them finds that one."""
VERSIONS = {"pyramid-attention": LIBRARY_VERSION, "torch": torch.__version__, "Python": platform.python_version()}


class ErrorElsewhere(UserError):
    """Another process of the run had an error and says so; the message is empty where it surely does."""


@dataclass(frozen=True)
class Layout:
    """Where the processes of a run are.

    Attributes:
        devices: processes on each machine, one for each device.
        nodes: machines.
    """

    devices: int
    nodes: int


def is_joined() -> bool:
    """Whether this process has met others, or by train.strategy=ddp itself alone."""
    return dist.is_initialized()


def is_alone() -> bool:
    """Whether the run has one process."""
    return count() == 1


def count() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of the processes this one is, counted from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return rank() == 0


def say(text: str) -> None:
    """Print a line on stderr, once for all processes."""
    if is_first():
        print(text, file=sys.stderr)


def gather(value: T) -> list[T]:
    """Return the values of all processes, in their order; each has to ask."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * count()
    dist.all_gather_object(values, value)
    return values


def share(value: T) -> T:
    """Return the first process's value."""
    return gather(value if is_first() else None)[0]  # type: ignore[return-value]


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, since each process has a loss that depends on it."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return _Sum.forward(ctx, grads[0])


def sum_tensor(tensor: Tensor) -> Tensor:
    """The sum over all processes, differentiable; itself in a run of one."""
    return tensor if is_alone() else _Sum.apply(tensor)


def gather_tensor(values: Tensor) -> Tensor:
    """The values (n) of all processes in one tensor; its order is that of the processes, and ∞ fills up the shorter."""
    if is_alone():
        return values
    longest = max(gather(len(values)))
    padded = torch.cat([values, values.new_full((longest - len(values),), torch.inf)])
    every = [torch.empty_like(padded) for _ in range(count())]
    dist.all_gather(every, padded)
    return torch.cat(every)


@contextmanager
def together() -> Iterator[None]:
    """Do what no process goes on from if it fails in one.

    Raises:
        UserError: the error of the first process that has one, raised in the first process.
        ErrorElsewhere: that, in the others.
    """
    mine: UserError | None = None
    try:
        yield
    except UserError as error:
        if is_alone():
            raise
        mine = error
    if is_alone():
        return
    errors = gather(None if mine is None else (type(mine), str(mine), mine.more, socket.gethostname()))
    found = [(place, error) for place, error in enumerate(errors) if error is not None]
    if not found:
        return
    if not is_first():
        raise ErrorElsewhere("")
    if mine is not None:
        raise mine
    place, (kind, message, more, host) = found[0]
    raise kind(f"{message} (process {place}, on {host})", *more)


def fail(message: str) -> NoReturn:
    """Raise an error that every process finds, and the first says.

    Raises:
        UserError: always.
    """
    raise UserError(message) if is_first() else ErrorElsewhere("")


def find_launcher() -> ClusterEnvironment | None:
    """The environment of torchrun or SLURM, where one of them has started this process.

    Raises:
        UserError: SLURM does not say how many processes a node has.
    """
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect() and int(os.environ["SLURM_NTASKS"]) > 1:
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise UserError("SLURM was told --ntasks, which may divide in any way; tell it --ntasks-per-node instead")
        return SLURMEnvironment(auto_requeue=False)
    return None


def machine_devices(kind: str) -> int:
    """How many devices this machine has of a kind: "cuda", "mps", or "cpu", of which each core counts as one."""
    return {"cpu": machine_cores(), "cuda": torch.cuda.device_count(), "mps": 1}[kind]


@contextmanager
def joined(launcher: ClusterEnvironment, kind: str) -> Iterator[Layout]:
    """Meet the other processes of a run that a launcher started, and part at the end.

    Args:
        launcher: knows this process's place and where the first is.
        kind: of the devices; on "cuda" each process takes one.

    Raises:
        UserError: they do not meet, have other versions, or this machine has too few devices.
        ErrorElsewhere: another process ended.
    """
    address = f"{launcher.main_address}:{launcher.main_port}"
    place, processes = launcher.global_rank(), launcher.world_size()
    if kind == "cuda":
        if launcher.local_rank() >= machine_devices(kind):
            raise UserError(
                f"{socket.gethostname()} was given more processes than its {machine_devices(kind)} CUDA devices; start"
                " one for each"
            )
        torch.cuda.set_device(launcher.local_rank())
    try:
        store, _, _ = next(rendezvous(f"tcp://{address}", place, processes, timeout=JOIN))
        store.set_timeout(JOIN)
        backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
        dist.init_process_group(
            backend, store=PrefixStore("run", store), rank=place, world_size=processes, timeout=COLLECTIVE
        )
    except RuntimeError as error:
        raise UserError(
            f"process {place} of {processes} on {socket.gethostname()} does not meet the others at {address} within"
            f" {JOIN.total_seconds():.0f} s; check that all were started and that the machines reach one another there"
        ) from error
    try:
        store.set_timeout(COLLECTIVE)
        with together():
            layout = agree(gather((socket.gethostname(), launcher.node_rank(), VERSIONS)))
        yield layout
        dist.barrier()  # nobody leaves while another still needs it
    except ErrorElsewhere:
        time.sleep(GRACE)
        raise
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        time.sleep(GRACE)
        raise ErrorElsewhere(
            "another process of the run has ended, and its own error says why; go on with resume=True"
        ) from error
    finally:
        dist.destroy_process_group()


def agree(places: Sequence[tuple[str, int, dict[str, str]]]) -> Layout:
    """Return the layout of processes by their host, node and versions.

    Raises:
        UserError: the versions differ, or one node has more processes than another.
    """
    host, _, versions = places[0]
    for other, _, theirs in places:
        for name, version in versions.items():
            if theirs[name] != version:
                fail(
                    f"{host} has {name} {version} but {other} has {theirs[name]}; install the same version on all nodes"
                )
    sizes = Counter(node for _, node, _ in places)
    if len(set(sizes.values())) > 1:
        fail(f"the nodes run {sorted(sizes.values())} processes; start as many on each")
    return Layout(sizes[0], len(sizes))


def launch(processes: int, function: Callable[..., T], *arguments: Any) -> T:
    """Run a function in several processes of this machine, which find one another as torchrun's do.

    Each is given an equal share of the cores for its threads. When one ends before its time, so do all.

    Args:
        processes: how many.
        function: a function of a module; it and its arguments are pickled.

    Returns:
        what the function returns in the first process.

    Raises:
        UserError: a process raised it, or was ended by a signal; or the arguments cannot be sent to other processes.
        RuntimeError: another error in a process, with its traceback.
    """
    logging.getLogger("torch.multiprocessing.spawn").setLevel(logging.ERROR)  # whom it ends when one has failed
    with tempfile.TemporaryDirectory(prefix="pan-") as folder:
        store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
        begin = (processes, store.port, Path(folder), function, arguments)
        try:
            running = start_processes(  # type: ignore[no-untyped-call]
                _begin, begin, processes, join=False, start_method="spawn"
            )
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UserError(
                f"data=, network= and callbacks= have to reach several processes, and cannot ({error}); define their"
                " classes in a module, or start the script with torchrun"
            ) from error
        try:
            while not running.join(grace_period=GRACE):
                pass
        except (ProcessRaisedException, ProcessExitedException) as error:
            raise _cause(Path(folder), error) from error
        finally:
            for process in running.processes:
                process.terminate()
            for process in running.processes:
                process.join(GRACE)
                process.kill()
        try:
            result: T = pickle.loads((Path(folder) / "result").read_bytes())
        except FileNotFoundError:  # they were interrupted, as this process was or will be
            raise KeyboardInterrupt from None
        return result


def _cause(folder: Path, error: ProcessException) -> Exception:
    """What made the processes end: an error that one of them raised itself, or how the first of them ended."""
    for path in folder.glob("*.error"):
        found: Exception = pickle.loads(path.read_bytes())
        return found
    if isinstance(error, ProcessExitedException) and error.signal_name is not None:
        return UserError(
            f"process {error.error_index} of the run (pid {error.error_pid}) was ended by {error.signal_name}, and the"
            " others with it; where nobody sent that, memory ran out; go on with resume=True"
        )
    return RuntimeError(str(error))


def _begin(
    rank: int, processes: int, port: int, folder: Path, function: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    """Run a function as one of the processes that `launch` starts."""
    places = {"RANK": rank, "LOCAL_RANK": rank, "GROUP_RANK": 0, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    agent = {"TORCHELASTIC_RUN_ID": "pan", "TORCHELASTIC_USE_AGENT_STORE": True, "TORCHELASTIC_RESTART_COUNT": 0}
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in {**places, **agent, **where}.items()})
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # or it needs a host name that can be resolved
    torch.set_num_threads(max(1, min(torch.get_num_threads(), machine_cores() // processes)))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        result = function(*arguments)
    except ErrorElsewhere:
        sys.exit(2)
    except UserError as error:
        (folder / f"{rank}.error").write_bytes(pickle.dumps(error))
        sys.exit(2)
    if rank == 0:
        (folder / "result").write_bytes(pickle.dumps(result))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    time.sleep(GRACE)  # for what is being written
    os._exit(1)
