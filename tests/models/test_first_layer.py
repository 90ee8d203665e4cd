"""The filters of a trained first layer on other bands: each where it belongs, and the sum as large as it was."""

import pytest
import torch

from pyramid_attention.models.backbone import Backbone
from pyramid_attention.models.first_layer import first_layer, spread


@pytest.mark.parametrize("name", ["test_resnet", "tf_efficientnet_lite0"])
def test_filters_go_to_their_bands_and_a_grey_image_is_seen_as_before(name: str) -> None:
    torch.manual_seed(0)
    trained, other = Backbone(name, 32, 3), Backbone(name, 32, 6)
    spread(other, trained, {4: 0, 1: 2})
    old, new = first_layer(trained).weight, first_layer(other).weight
    torch.testing.assert_close(new[:, 4], old[:, 0] / 2)
    torch.testing.assert_close(new[:, 1], old[:, 2] / 2)
    for band in (0, 2, 3, 5):
        torch.testing.assert_close(new[:, band], old.mean(dim=1) / 2)
    spread(other, trained, {0: 0, 1: 1, 2: 2})
    torch.testing.assert_close(new.sum(dim=1), old.sum(dim=1))
    assert trained.training
    assert other.training
