"""`pan export` and what runs its file: the graph, ONNX Runtime and OpenVINO beside PyTorch, 8 bits."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch._dynamo.testing import CompileCounter

from pyramid_attention.artifacts import load_model, read_info, save_model
from pyramid_attention.classes import ClassTable
from pyramid_attention.cli import main
from pyramid_attention.data.shapes import CLASSES, open_shapes
from pyramid_attention.errors import MissingExtra, UserError
from pyramid_attention.evaluation import evaluate
from pyramid_attention.export import export, exporter, int8
from pyramid_attention.export.folding import find_folding, fold
from pyramid_attention.export.graph import Graph
from pyramid_attention.export.int8 import Quantised, quantisable, quantise, spread
from pyramid_attention.export.verify import Verification, verify
from pyramid_attention.images import ArrayImage
from pyramid_attention.inference import Segmenter
from pyramid_attention.inference.engines.onnxruntime import choose_providers
from pyramid_attention.inference.engines.pruning import keep_output
from pyramid_attention.inference.explanation import explain
from pyramid_attention.models import SegmentationModel, build_model
from pyramid_attention.models.attention import attention_maps, class_of_channels
from pyramid_attention.models.context.none import NoContext

ENGINES = ("onnxruntime", "openvino")
SIZES = [(1, 1), (1, 40), (31, 33), (40, 57), (65, 97), (96, 128)]


def settled(**options) -> SegmentationModel:
    """A network with the running statistics of a few images."""
    torch.manual_seed(0)
    net = build_model(**({"num_classes": 7, "backbone": "test_resnet", "channels": 16} | options))
    net.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(2, 3, 64, 96))
    return net.eval()


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    net = settled()
    net.classes = CLASSES
    path = tmp_path_factory.mktemp("model") / "tiny"
    save_model(net, path, recipe={"seed": 3}, validation={"miou": 0.5})
    return path


@pytest.fixture(scope="module")
def file(folder) -> Path:
    return export(folder).path


# The file


def test_the_file_lies_in_the_model_folder_and_says_what_it_is(folder, file):
    assert file == folder / "model.onnx"
    session = onnxruntime.InferenceSession(str(file))
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("images", "tensor(uint8)", ["batch", "height", "width", 3])
    ]
    assert [(o.name, o.type, o.shape) for o in session.get_outputs()] == [
        ("labels", "tensor(uint8)", ["batch", "height", "width"]),
        ("scores", "tensor(float)", ["batch", 7, "score_height", "score_width"]),
    ]
    held = read_info(file)
    source = read_info(folder)
    assert held.classes == CLASSES
    assert held.classes.void_name == CLASSES.void_name
    assert (held.recipe, held.validation, held.precision) == ({"seed": 3}, {"miou": 0.5}, "fp32")
    assert (held.network, held.mean, held.std) == (source.network, source.mean, source.std)
    assert held.provenance["source_sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert held.provenance["verification"]["agreement"] >= 0.999


def test_norms_are_folded_and_the_exporters_notes_left_out(file, folder):
    model = onnx.load(file)
    assert not [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    assert not any(len(node.metadata_props) or node.doc_string for node in model.graph.node)
    assert file.stat().st_size < 1.2 * (folder / "model.safetensors").stat().st_size + 100_000


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", [(32, 32), (45, 71)])
def test_the_labels_and_scores_in_the_file_are_the_networks(folder, file, batch, size):
    images = np.stack([make_image(*size, seed) for seed in range(batch)])
    labels, scores = onnxruntime.InferenceSession(str(file)).run(None, {"images": images})
    net = load_model(folder)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (net.mean, net.std))
    with torch.no_grad():
        pixels = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - mean) / std
        np.testing.assert_allclose(scores, net.coarse_logits(pixels), atol=1e-4)
        assert (labels == net(pixels).argmax(1).numpy()).mean() > 0.999
    assert scores.shape[2:] == tuple(-(-side // 4) for side in size)


def test_folding_leaves_the_scores_as_they_are():
    for options in ({}, {"backbone": "mobilenetv3_small_050"}, {"upsample": "transposed", "conv_bias": True}):
        net = settled(**options)
        pixels = torch.rand(2, 3, 64, 96) * 255
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (net.mean, net.std))
        with torch.no_grad():
            expected = net.coarse_logits((pixels / 255 - mean) / std)
            folding = find_folding(net)
            assert folding.pixels is not None  # the first convolution takes pixels as they are
            fold(net, folding)
            found = net.coarse_logits(pixels - 255 * mean)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        assert not [name for name, module in net.named_modules() if isinstance(module, torch.nn.BatchNorm2d)]


@pytest.mark.parametrize(
    "options",
    [
        {"architecture": "deeplabv3plus", "low_channels": 8},
        {"architecture": "pspnet"},
        {"attention_channels": 1, "downsample": "max", "rounding": "floor", "align_corners": True},
    ],
    ids=["deeplabv3plus", "pspnet", "as others"],
)
def test_other_architectures_are_exported_and_verified(options, tmp_path):
    net = settled(**options)
    save_model(net, tmp_path / "model")
    done = export(tmp_path / "model", tmp_path / "other.onnx")
    assert done.path == tmp_path / "other.onnx"
    assert done.verification.agreement >= 0.999
    image = make_image(50, 70)
    expected = Segmenter.load(tmp_path / "model", device="cpu")(image)
    for engine in ENGINES:
        found = Segmenter.load(done.path, device="cpu", engine=engine)(image)
        assert (found.labels == expected.labels).mean() >= 0.999
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-3)


@pytest.fixture
def built(file, monkeypatch):
    """The graph need not be built again: that takes ten seconds."""
    monkeypatch.setattr(exporter, "build_graph", lambda *_, **__: Graph(onnx.load(file), {}))


@pytest.mark.usefixtures("built")
def test_a_file_that_differs_from_its_network_is_not_kept(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(exporter, "verify", lambda network, path: Verification(0.98, 1e-6))
    with pytest.raises(UserError, match=r"98\.00% of the labels agree \(at least 99\.9% must\).*no file is kept"):
        export(folder, tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []
    for differs in (Verification(1.0, 0.01), Verification(1.0, float("nan"))):
        with pytest.raises(UserError, match="logits differ by up to"):
            differs.check()
    Verification(0.999, 1e-3).check()


def test_verification_sees_other_weights(folder, file):
    net = load_model(folder)
    assert verify(net, file).difference < 1e-4
    net.head.weight.data.add_(0.05)
    assert verify(net, file).difference > 1e-3


def test_a_network_that_gives_no_finite_logits_is_not_blamed_on_the_file(folder, file):
    net = load_model(folder)
    net.head.bias.data[3] = float("nan")
    with pytest.raises(UserError, match=r"gives infinite logits, or none at all, for images of 32×32 pixels; was it"):
        verify(net, file)


def test_a_network_that_is_another_for_some_sizes_is_refused_in_our_words(tmp_path):
    class Fickle(NoContext):
        def forward(self, x):
            return x if x.shape[-1] < 5 else -x

    net = build_model(context=Fickle, decoder="bilinear", num_classes=2, backbone="resnet10t").eval()
    with pytest.raises(
        UserError, match="Fickle and BilinearDecoder cannot be exported: it computes something else for"
    ):
        export(net, tmp_path / "fickle.onnx")


# The engines


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", SIZES)
def test_an_engine_gives_the_labels_of_torch(folder, file, engine, size):
    image = make_image(*size)
    expected, found = (
        Segmenter.load(folder, device="cpu")(image),
        Segmenter.load(file, device="cpu", engine=engine)(image),
    )
    assert found.labels.dtype == np.uint8
    assert (found.labels == expected.labels).mean() >= 0.999
    np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_batches_tiles_and_augmentation_on_every_engine(folder, file, engine):
    images = [make_image(48, 64, seed) for seed in range(3)]
    segment = Segmenter.load(file, device="cpu", engine=engine)
    for one, together in zip(images, segment.batch(images), strict=True):
        np.testing.assert_array_equal(segment(one).labels, together.labels)
    large = make_image(200, 300)
    for options in ({"tile": 128}, {"tta": True}):
        expected = Segmenter.load(folder, device="cpu", **options)(large).labels
        assert (Segmenter.load(file, device="cpu", engine=engine, **options)(large).labels == expected).mean() >= 0.999


def test_results_of_an_image_stay_when_the_next_is_segmented(file):
    for engine in ENGINES:
        segment = Segmenter.load(file, device="cpu", engine=engine)
        first = segment.engine(make_image(40, 40)[None])
        kept = first.copy()
        segment.engine(make_image(40, 40, seed=1)[None])
        np.testing.assert_array_equal(first, kept)


def test_evaluation_and_metadata_go_through_the_file(folder, file):
    data = open_shapes(train=1, val=3, size=64)
    assert evaluate(data, file).metrics() == evaluate(data, file, engine="openvino").metrics()
    assert Segmenter.load(file).info == read_info(file)
    assert Segmenter.load(file).classes == Segmenter.load(file, engine="openvino").classes == CLASSES
    found, expected = evaluate(data, file).confusion.matrix, evaluate(data, folder).confusion.matrix
    assert np.abs(found - expected).sum() <= 0.002 * expected.sum()


def test_bf16_changes_few_labels(folder):
    image = make_image(64, 64)
    exact, rough = (Segmenter.load(folder, device="cpu", precision=name)(image) for name in ("fp32", "bf16"))
    assert (rough.labels == exact.labels).mean() > 0.8
    assert not np.array_equal(rough.confidence, exact.confidence)


def test_a_compiled_network_gives_the_same_labels_from_one_graph_for_all_sizes(folder, monkeypatch):
    # All of the compiler but its last step: to translate the graph to C++ takes minutes.
    counter, compile_ = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", functools.partial(compile_, backend=counter))
    torch.compiler.reset()
    plain, compiled = (Segmenter.load(folder, device="cpu", compile=wanted) for wanted in (False, True))
    for image in (make_image(96, 160), make_image(100, 150)):  # PyTorch has another convolution for much smaller ones
        np.testing.assert_array_equal(compiled(image).labels, plain(image).labels)
    assert counter.frame_count == 1
    assert counter.op_count > 50


def test_the_runtime_is_given_only_what_the_scores_need(file):
    model = onnx.load(file)
    pruned = onnx.load_from_string(keep_output(file.read_bytes(), "scores"))
    onnx.checker.check_model(pruned)
    assert [output.name for output in pruned.graph.output] == ["scores"]
    assert "ArgMax" not in {node.op_type for node in pruned.graph.node}
    assert len(pruned.graph.node) < len(model.graph.node)
    assert [node.SerializeToString() for node in pruned.graph.node] == [
        node.SerializeToString() for node in model.graph.node if node.name in {kept.name for kept in pruned.graph.node}
    ]
    assert pruned.metadata_props == model.metadata_props
    assert list(pruned.graph.initializer) == list(model.graph.initializer)
    images = make_image(40, 57)[None]
    (scores,) = onnxruntime.InferenceSession(pruned.SerializeToString()).run(None, {"images": images})
    np.testing.assert_array_equal(scores, onnxruntime.InferenceSession(file).run(["scores"], {"images": images})[0])


def test_what_cannot_be_pruned(file):
    assert keep_output(file.read_bytes(), "nothing") == file.read_bytes()
    for broken in (file.read_bytes()[:-5], b"not a model", b"\xff" * 12):
        with pytest.raises(ValueError, match=r"end|wire type"):
            keep_output(broken, "scores")


# What is refused


def without_metadata(file: Path, target: Path) -> Path:
    model = onnx.load(file)
    del model.metadata_props[:]
    onnx.save(model, target)
    return target


@pytest.mark.parametrize("engine", ENGINES)
def test_a_foreign_file_is_told_what_it_lacks_and_runs_with_names(file, tmp_path, engine):
    foreign = without_metadata(file, tmp_path / "foreign.onnx")
    with pytest.raises(UserError, match="holds no model info of pyramid-attention, so what its 7 classes are called"):
        Segmenter.load(foreign, engine=engine)
    with pytest.raises(UserError, match="has 7 classes and classes= names 2"):
        Segmenter.load(foreign, engine=engine, classes=["a", "b"])
    named = Segmenter.load(foreign, engine=engine, classes=list("abcdefg"))
    assert named.classes.names == tuple("abcdefg")
    image = make_image(40, 40)
    np.testing.assert_array_equal(named(image).labels, Segmenter.load(file, engine=engine)(image).labels)
    with pytest.raises(UserError, match="names its own classes; leave out classes="):
        Segmenter.load(file, engine=engine, classes=list("abcdefg"))


def test_other_inputs_and_outputs_are_named(tmp_path):
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, 8, 8]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8)
    onnx.save(model, tmp_path / "relu.onnx")
    with pytest.raises(
        UserError, match=r"it takes 'x' tensor\(float\) of 4 dimensions and gives 'y'; needed are uint8"
    ):
        Segmenter.load(tmp_path / "relu.onnx")


@pytest.mark.parametrize("content", [b"", b"not a model", None], ids=["empty", "text", "half"])
def test_a_damaged_file_is_one_line(file, tmp_path, content, capsys):
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content is None else content)
    Image.fromarray(make_image(40, 40)).save(tmp_path / "a.png")
    for engine in ("auto", "openvino"):
        words = ["predict", str(tmp_path / "a.png"), "--model", str(broken), "--engine", engine]
        assert main([*words, "--out", str(tmp_path / "out")]) == 2
        printed = capsys.readouterr().err.strip().splitlines()
        assert len(printed) == 1
        assert (
            "broken.onnx cannot be loaded by ONNX Runtime" if content == b"" else "broken.onnx is damaged"
        ) in printed[0]


@pytest.mark.parametrize(
    ("engine", "options", "message"),
    [
        ("tensorrt", {}, r"no engine 'tensorrt'\. Known: auto, onnxruntime, openvino, torch"),
        ("torch", {}, "is an exported model, which torch does not run; use onnxruntime or openvino"),
        (
            "auto",
            {"precision": "bf16"},
            r"precision= is an option of torch, and .* is run by onnxruntime; leave it out",
        ),
        ("auto", {"device": "mps"}, 'ONNX Runtime has no device mps; use device="cpu"'),
        ("auto", {"device": "gpu"}, "no device 'gpu'"),
        ("openvino", {"device": "cuda"}, "openvino runs on the CPU, not on cuda"),
    ],
)
def test_an_engine_or_device_that_cannot(file, engine, options, message):
    with pytest.raises(UserError, match=message):
        Segmenter.load(file, engine=engine, **options)


def test_a_pytorch_model_is_not_for_the_other_engines(folder):
    for engine in ENGINES:
        with pytest.raises(UserError, match=f"which {engine} does not run; use torch, or first: pan export"):
            Segmenter.load(folder, engine=engine)
    with pytest.raises(UserError, match=r"classes= is an option of onnxruntime and openvino, and .* is run by torch"):
        Segmenter.load(folder, classes=["a"])
    with pytest.raises(UserError, match="no precision 'fp16'"):
        Segmenter.load(folder, precision="fp16")


def test_an_engine_that_is_not_installed_says_how_to_get_it(file, monkeypatch):
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "openvino" else find(name))
    with pytest.raises(MissingExtra, match=r"pip install 'pyramid-attention\[openvino\]'"):
        Segmenter.load(file, engine="openvino")


def test_cuda_is_used_where_the_runtime_has_it(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert choose_providers("auto") == choose_providers("cpu") == ["CPUExecutionProvider"]
    with pytest.raises(UserError, match='has no CUDA; use device="cpu"'):
        choose_providers("cuda")
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["TensorrtExecutionProvider", *both])
    assert choose_providers("auto") == choose_providers("cuda") == both
    assert choose_providers("cpu") == ["CPUExecutionProvider"]


@pytest.mark.parametrize("engine", ENGINES)
def test_memory_that_runs_out_is_told(file, engine, monkeypatch):
    segment = Segmenter.load(file, device="cpu", engine=engine)

    class Full:
        def run(self, *_):
            raise RuntimeError("Failed to allocate memory for requested buffer of size 123")

        infer = run

    monkeypatch.setattr(segment.engine, "_session" if engine == "onnxruntime" else "_request", Full())
    with pytest.raises(UserError, match="out of memory on cpu while segmenting 50×40 pixels; segment smaller tiles"):
        segment(make_image(40, 50))


def test_the_verb(folder, tmp_path, capsys):
    assert main(["export", str(folder), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "verified on images of 5 sizes: 100.000% of the labels agree" in printed
    assert f"use it:  pan predict IMAGE --model {tmp_path / 'model.onnx'}" in printed
    Image.fromarray(make_image(40, 50)).save(tmp_path / "a.png")
    words = ["predict", str(tmp_path / "a.png"), "--model", str(tmp_path / "model.onnx"), "--overlay", "--confidence"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    expected = Segmenter.load(folder, device="cpu")(tmp_path / "a.png").labels
    assert (np.array(Image.open(tmp_path / "out" / "a.png")) == expected).mean() >= 0.999
    written = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_file())
    assert written == ["a.png", "a_confidence.png", "a_overlay.jpg"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--int8"], "name them, --calibrate DATA"),
        (["--calibrate", "shapes"], "--calibrate is for --int8"),
        (
            ["--int8", "--calibrate", "shapes", "--max-loss", "-1"],
            "--max-loss is a number of percentage points of mIoU",
        ),
        (["--int8", "--calibrate", "nowhere"], "nowhere does not exist"),
        (["--out", "model.bin"], "model.bin is to be an .onnx file"),
    ],
)
def test_what_cannot_be_exported_is_one_line(folder, words, message, capsys):
    assert main(["export", str(folder), *words]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1
    assert message in printed[0]


def test_a_live_network_is_exported_as_its_folder_is_and_stays_in_training(folder, file, tmp_path):
    net = load_model(folder).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    live, saved = onnx.load(export(net, tmp_path / "live.onnx").path), onnx.load(file)
    assert live.graph == saved.graph
    assert live.metadata_props[0] == saved.metadata_props[0]  # what it takes to train it again
    unlike = {"recipe": {}, "validation": {}, "provenance": {}, "weights_sha256": None}  # what the folder says besides
    assert dataclasses.replace(read_info(tmp_path / "live.onnx"), **unlike) == dataclasses.replace(
        read_info(file), **unlike
    )
    assert net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    with pytest.raises(UserError, match="a network that lies in no folder needs out="):
        export(net)


def test_an_exported_file_is_not_exported_again(file, capsys):
    assert main(["export", str(file)]) == 2
    assert "is exported already" in capsys.readouterr().err


def test_a_network_whose_bands_nobody_named_is_refused(tmp_path):
    settled_ = build_model(num_classes=3, backbone="test_resnet", channels=8, in_channels=4)
    save_model(settled_, tmp_path / "model")
    with pytest.raises(UserError, match="takes 4 channels, and its bands= say 3 bands of uint8"):
        export(tmp_path / "model")


# Eight bits


def test_eight_bits_are_smaller_and_measured(folder, file, tmp_path):
    data = open_shapes(train=6, val=4, size=64)
    done = export(folder, tmp_path / "int8.onnx", int8=True, calibrate=data, max_loss=100)
    cost = done.quantised
    assert cost is not None
    assert done.path.stat().st_size < 0.5 * file.stat().st_size
    assert [trial.scheme for trial in cost.trials[:3]] == ["U8S8", "U8S8, reduced range", "U8U8"]
    assert cost.before == pytest.approx(evaluate(data, file).metrics()["miou"])
    assert cost.after == pytest.approx(evaluate(data, done.path).metrics()["miou"])
    held = Segmenter.load(done.path).info
    assert held.precision == "int8"
    assert held.provenance["quantisation"]["miou_int8"] == cost.after
    kinds = {node.op_type for node in onnx.load(done.path).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    image = data.split("val")[0].read_image()
    rough, exact = Segmenter.load(done.path)(image).labels, Segmenter.load(file)(image).labels
    assert 0.5 < (rough == exact).mean() < 1
    openvino = Segmenter.load(done.path, engine="openvino")(image).labels
    assert (openvino == exact).mean() > 0.5


def test_parts_return_to_floating_point_until_the_loss_is_small(file, tmp_path, monkeypatch):
    """mIoU by hand: the third of the eight parts costs 8 percentage points, the sixth 3, all others nothing."""
    names = [node.name for node in quantisable(onnx.load(file)) if node.op_type == "Conv"]
    parts = np.array_split(np.array(names), int8.PARTS)
    floats: dict[Path, set[str]] = {}

    def write(fp32, target, samples, scheme, in_float):
        floats[target] = set(in_float)
        target.write_bytes(b"")

    def miou(path, samples):
        left = floats.get(path)
        if left is None:
            return 0.6
        return 0.6 - 0.08 * (not set(parts[2]) <= left) - 0.03 * (not set(parts[5]) <= left)

    monkeypatch.setattr(int8, "write_quantised", write)
    monkeypatch.setattr(int8, "miou_of", miou)
    done = quantise(file, tmp_path / "out.onnx", open_shapes(train=2, val=2, size=64), 1.0)
    assert floats[tmp_path / "out.onnx"] == set(parts[2]) | set(parts[5])
    assert done.in_float == (len(parts[2]) + len(parts[5]), len(names))
    assert done.loss == pytest.approx(0)
    assert len(done.trials) == 3 + 8 + 7


@pytest.mark.usefixtures("built")
def test_more_than_may_be_lost_is_refused(folder, tmp_path, monkeypatch):
    cost = Quantised(0.6, 0.585, 100, "U8U8", (3, 20))
    cost.check(1.6)
    with pytest.raises(
        UserError, match=r"8 bits cost 1\.50 percentage points of mIoU \(60\.00% to 58\.50%\), more than 1;"
    ):
        cost.check(1.0)
    monkeypatch.setattr(exporter, "quantise", lambda *_: cost)
    with pytest.raises(UserError, match=r"no file is kept; stay with fp32, or allow it with max_loss=1\.5"):
        export(folder, tmp_path / "out.onnx", int8=True, calibrate=open_shapes(train=1, val=1))
    assert list(tmp_path.iterdir()) == []


def test_other_classes_than_the_models_are_refused(file, tmp_path):
    data = open_shapes(train=1, val=1, size=64)
    other = dataclasses.replace(data, classes=ClassTable.of(3))
    with pytest.raises(UserError, match="the model has 7 classes but the data set 3"):
        quantise(file, tmp_path / "out.onnx", other, 1.0)


def test_images_are_spread_evenly():
    assert spread(list(range(10)), 4) == [0, 3, 6, 9]
    assert spread(list(range(3)), 10) == [0, 1, 2]


@pytest.fixture(scope="module")
def explaining(folder, tmp_path_factory) -> Path:
    return export(folder, tmp_path_factory.mktemp("explaining") / "m.onnx", explain=True).path


@pytest.mark.parametrize("size", [(64, 64), (57, 121)])
def test_a_file_that_keeps_attention_gives_the_values_of_pytorch(folder, explaining, size):
    network = load_model(folder).eval()
    image = make_image(*size)
    segmenter = Segmenter.load(explaining)
    padded = segmenter.plan(*size).prepare(ArrayImage(image))
    with torch.inference_mode():
        expected = attention_maps(network, network.normalise(torch.from_numpy(padded[None])))
    found = segmenter.engine.attention(padded[None])
    assert found.keys() == expected.keys() == {"attention", "global", "channels_16", "channels_8", "channels_4"}
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5 * max(1, np.abs(values).max()))
    assert segmenter.info.class_of_channels == tuple(class_of_channels(network).tolist())


def test_keeping_attention_changes_no_label_and_the_network_can_be_had_back(folder, file, explaining):
    image = make_image(60, 90)
    np.testing.assert_array_equal(Segmenter.load(explaining)(image).labels, Segmenter.load(file)(image).labels)
    assert Segmenter.load(file).engine.attention(image[None]) == {}
    plain, kept = ([node.op_type for node in onnx.load(path).graph.node] for path in (file, explaining))
    assert kept.count("Conv") == plain.count("Conv"), "what both need is computed once"
    assert load_model(explaining).state_dict().keys() == load_model(folder).state_dict().keys()


def test_attention_is_shown_without_pytorch(explaining, monkeypatch):
    image = make_image(60, 90)
    with_torch = explain(Segmenter.load(explaining), image, explaining)
    monkeypatch.setattr("pyramid_attention.inference.explanation.is_installed", lambda name: False)
    found = explain(Segmenter.load(explaining), image, explaining)
    assert found.maps.keys() == with_torch.maps.keys() >= {"attention", "channels_4"}
    assert list(found.class_of_channels) == list(with_torch.class_of_channels)
    assert len(found.class_of_channels) == 16


def test_attention_that_is_not_there_or_not_kept_in_8_bits_is_refused(folder, tmp_path):
    with pytest.raises(
        UserError, match=r"keeps FPA's attention and GAU's gates, and this network has none; leave it out"
    ):
        export(build_model("baseline", num_classes=2, backbone="test_resnet"), tmp_path / "m.onnx", explain=True)
    with pytest.raises(UserError, match="which 8 bits do not; leave one out"):
        export(folder, tmp_path / "m.onnx", explain=True, int8=True, calibrate="shapes")
    assert not list(tmp_path.iterdir())
