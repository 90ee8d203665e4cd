"""`build_model`: names and options, and what it says of those it cannot do."""

import importlib
import json
import sys
from dataclasses import dataclass
from typing import ClassVar

import pytest
import timm
import torch
from pydantic import PositiveInt
from torch import nn

from pyramid_attention.errors import UserError
from pyramid_attention.models import build_model, list_architectures, list_options
from pyramid_attention.models.architectures import describe
from pyramid_attention.models.context.fpa import FPA
from pyramid_attention.models.parts import NoOptions


def refusal(architecture="pan", **options) -> str:
    with pytest.raises(UserError) as caught:
        build_model(architecture, **({"num_classes": 2, "backbone": "test_resnet"} | options))
    return str(caught.value)


def test_pan_is_fpa_and_gau_with_the_papers_options():
    config = build_model("pan", num_classes=21).spec
    assert "pan" in list_architectures()
    expected = {
        "architecture": "pan",
        "context": "fpa",
        "decoder": "gau",
        "backbone": "resnet18",
        "num_classes": 21,
        "pretrained": False,
        "output_stride": 16,
        "dilate_first": False,
        "in_channels": 3,
        "channels": 256,
        "attention_channels": None,
        "kernels": [7, 5, 3],
        "downsample": "avg",
        "upsample": "bilinear",
        "global_branch": "gp",
        "gate": "channel",
        "gate_activation": "relu",
        "low_kernel": 3,
        "low_activation": "none",
        "conv_bias": False,
        "rounding": "ceil",
        "align_corners": False,
    }
    assert config == expected


def test_the_configuration_makes_the_network_again():
    net = build_model(num_classes=2, backbone="test_resnet", channels=8, kernels=[3, 3, 3], gate="none")
    again = build_model(**net.spec)
    assert again.spec == net.spec
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in net.state_dict().items()}


def test_values_may_come_as_text_or_lists_from_a_recipe():
    config = build_model(
        num_classes="2", backbone="test_resnet", channels="8", kernels=[3, 3, 3], align_corners="true"
    ).spec
    assert (config["num_classes"], config["channels"], config["kernels"], config["align_corners"]) == (
        2,
        8,
        [3, 3, 3],
        True,
    )


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"architecture": "pam"}, "no architecture is called 'pam'. Did you mean 'pan'?"),
        ({"context": "fap"}, "no context is called 'fap'. Did you mean 'fpa'?"),
        ({"decoder": "gua"}, "no decoder is called 'gua'. Did you mean 'gau'?"),
        ({"backbone": "resnet181"}, "no timm model is called 'resnet181'. Did you mean 'resnet18'"),
        ({"chanels": 8}, "fpa and gau have no option 'chanels'. Did you mean 'channels'"),
        ({"kernels": (3, 3, 3), "context": "pyramid_attention"}, "pyramid_attention and gau have no option 'kernels'."),
        ({"gate": "chanel"}, "option gate='chanel' is not possible: Input should be 'channel', 'spatial', 'both' or"),
        ({"kernels": (3, 4, 3)}, "option kernels=(3, 4, 3) is not possible"),
        ({"channels": 0}, "option channels=0 is not possible"),
        ({"attention_channels": 0}, "option attention_channels=0 is not possible"),
        ({"num_classes": 0}, "option num_classes=0 is not possible"),
        ({"num_classes": 256}, "option num_classes=256 is not possible"),
        ({"output_stride": 4}, "option output_stride=4 is not possible: Input should be 8, 16 or 32"),
        ({"in_channels": 0}, "option in_channels=0 is not possible"),
        ({"backbone": "test_vit"}, "'test_vit' has feature maps at 1/16, but 1/4, 1/8, 1/16 and 1/32 are needed"),
        ({"backbone": "levit_128s", "output_stride": 32}, "has feature maps at 1/16, 1/32, 1/64, but"),
        ({"backbone": "resnet18.nothing"}, "Invalid pretrained tag (nothing)"),
        ({"backbone": "densenet121"}, "'densenet121' does not work at output stride 16 for images of any size"),
        ({"backbone": "vgg11"}, "'vgg11' does not work at output stride 16 for images of any size (AssertionError)"),
        ({"backbone": "coat_lite_tiny", "output_stride": 32}, "Input height (32) doesn't match model (224)"),
    ],
)
def test_what_cannot_be_is_said_with_what_can(options, says):
    text = refusal(**options)
    assert says in text
    assert "\n" not in text
    assert len(text) < 300


def test_a_name_unlike_any_backbones_does_not_list_them_all():
    assert refusal(backbone="my own") == "no timm model is called 'my own'."


# Combinations and parts of one's own


@dataclass(frozen=True)
class BlurOptions:
    size: PositiveInt = 3
    align_corners: bool = True


class Blur(nn.AvgPool2d):
    """A context: the mean of each pixel's surroundings."""

    Options: ClassVar = BlurOptions

    def __init__(self, in_channels, options):
        super().__init__(options.size, 1, options.size // 2)
        self.out_channels = in_channels
        self.options = options


class Shortcut(nn.Conv2d):
    """A decoder that gives logits, of the map at 1/4 alone."""

    @dataclass(frozen=True)
    class Options:
        num_classes: int

    gives_logits = True

    def __init__(self, in_channels, context_channels, options):
        super().__init__(in_channels[0], options.num_classes, 1)

    def forward(self, features, context):
        return super().forward(features[0])


def test_a_combination_is_not_called_by_an_architectures_name():
    mixed = build_model(context="aspp", decoder="gau", num_classes=2, backbone="test_resnet", channels=8)
    assert mixed.spec["architecture"] is None
    assert describe(mixed.spec) == "aspp with gau decoder"
    named = build_model(None, context="fpa", decoder="gau", num_classes=2, backbone="test_resnet", channels=8)
    assert named.spec["architecture"] is None
    same = build_model("pan", context="fpa", decoder="gau", num_classes=2, backbone="test_resnet", channels=8)
    assert same.spec["architecture"] == "pan"
    assert describe(same.spec).startswith("pan (Li et al., BMVC 2018")
    assert "without an architecture both context and decoder must be named" in refusal(None, context="fpa")


def test_parts_of_ones_own_get_their_options_and_the_networks():
    net = build_model(context=Blur, decoder=Shortcut, num_classes=4, backbone="test_resnet", size="5")
    assert net.context.options == BlurOptions(5, align_corners=False)
    assert net.head is None
    assert (net.num_classes, net(torch.randn(1, 3, 33, 20)).shape) == (4, (1, 4, 33, 20))
    assert net.spec["context"] == f"{__name__}:Blur"
    assert (net.spec["architecture"], net.spec["size"]) == (None, 5)
    assert describe(net.spec) == "Blur with Shortcut decoder"
    assert list_options(context=Blur, decoder="gau") == sorted(["size", *list_options(context="none")])
    assert build_model(context=FPA, num_classes=2, backbone="test_resnet").spec["architecture"] == "pan"
    assert "option size=0 is not possible: Input should be greater than 0" in refusal(context=Blur, size=0)
    assert f"{__name__}:Blur and gau have no option 'sise'. Did you mean 'size'?" in refusal(context=Blur, sise=3)


def test_a_network_of_own_parts_is_made_again_with_them_only():
    net = build_model(context=Blur, decoder=Shortcut, num_classes=4, backbone="test_resnet", size=5)
    spec = json.loads(json.dumps(net.spec))
    assert spec == net.spec
    again = build_model(**spec, parts=[Blur, Shortcut])
    assert (type(again.context), type(again.decoder), again.spec) == (Blur, Shortcut, spec)
    with pytest.raises(UserError, match=rf"Blur is somebody's own, .* parts=\['{__name__}:Blur'\]\)$"):
        build_model(**spec, parts=[Shortcut])


def test_nothing_is_imported_because_a_spec_names_it(tmp_path, monkeypatch):
    source = "from pyramid_attention.models.context.none import NoContext\nclass Mine(NoContext):\n    pass\n"
    (tmp_path / "parts_of_mine.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    spec = {"context": "parts_of_mine:Mine", "decoder": "bilinear", "num_classes": 2, "backbone": "test_resnet"}
    with pytest.raises(UserError, match="code is not imported because a file names it"):
        build_model(None, **spec)
    assert "parts_of_mine" not in sys.modules
    net = build_model(None, **spec, parts=["parts_of_mine:Mine"])
    assert type(net.context) is importlib.import_module("parts_of_mine").Mine
    moved = build_model(None, **(spec | {"context": "elsewhere:Mine"}), parts=[type(net.context)])
    assert moved.spec["context"] == "parts_of_mine:Mine"


def test_classes_that_are_no_parts():
    class Bare(nn.Identity):
        pass

    class Shapeless(nn.Identity):
        Options = NoOptions

        def __init__(self, *_):
            super().__init__()

    assert "Bare has no dataclass 'Options'" in refusal(context=Bare)
    assert "BlurOptions is no torch.nn.Module" in refusal(context=BlurOptions)
    assert "the decoder " in refusal(decoder=Shapeless)
    assert "Shapeless lacks out_channels and gives_logits" in refusal(decoder=Shapeless)
    assert "parts: cannot import 'nowhere:It'" in refusal(parts=["nowhere:It"])
    assert "parts: cannot import 'json'" in refusal(parts=["json"])
    assert "parts: 'json:dumps' is no class" in refusal(parts=["json:dumps"])


# Pre-trained weights


def test_weights_of_a_file_are_loaded_into_the_backbone(tmp_path):
    torch.manual_seed(0)
    donor = timm.create_model("test_resnet")
    torch.save(donor.state_dict(), tmp_path / "weights.pth")
    net = build_model(num_classes=2, backbone="test_resnet", pretrained=tmp_path / "weights.pth")
    theirs = donor.state_dict()
    for name, value in net.backbone.body.state_dict().items():
        assert torch.equal(value, theirs[name]), name
    assert net.spec["pretrained"] == str(tmp_path / "weights.pth")


def test_a_file_of_weights_that_is_missing_or_none(tmp_path):
    assert "cannot load the pre-trained weights of backbone 'test_resnet' from" in refusal(pretrained="none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    text = refusal(pretrained=str(tmp_path / "text.pth"))
    assert "use pretrained=false, or pretrained=FILE" in text
    assert "\n" not in text
