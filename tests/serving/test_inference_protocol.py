"""The Open Inference Protocol, spoken by Triton's own client."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from pyramid_attention.inference import Segmenter
from served import Running

triton = pytest.importorskip("tritonclient.http", reason="needs tritonclient[http]")


@pytest.fixture(scope="module")
def client(server: Running) -> "triton.InferenceServerClient":
    return triton.InferenceServerClient(f"127.0.0.1:{server.port}")


def test_it_is_alive_and_ready(client: "triton.InferenceServerClient") -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("pan-street")
    assert client.is_model_ready("pan-street", "1")
    assert not client.is_model_ready("nobody")


def test_it_says_what_it_is(client: "triton.InferenceServerClient") -> None:
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    found = client.get_model_metadata("again")
    assert (found["name"], found["versions"]) == ("again", ["1"])
    assert found["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": [-1, -1, -1, 3]}]


@pytest.mark.parametrize("binary", [True, False])
def test_tensors_come_back_as_the_segmenters(
    client: "triton.InferenceServerClient", segmenter: Segmenter, image: NDArray[np.uint8], binary: bool
) -> None:
    images = np.stack([image, image[:, ::-1]])[:, :40, :56]
    given = triton.InferInput("images", list(images.shape), "UINT8")
    given.set_data_from_numpy(np.ascontiguousarray(images), binary_data=binary)
    asked = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("labels", "confidence")]
    found = client.infer("pan-street", [given], outputs=asked, request_id="7")
    assert found.get_response()["id"] == "7"
    for index, one in enumerate(images):
        wanted = segmenter(np.ascontiguousarray(one))
        assert (found.as_numpy("labels")[index] == wanted.labels).all()
        np.testing.assert_allclose(found.as_numpy("confidence")[index], wanted.confidence, atol=1e-5)


def test_without_outputs_all_come(client: "triton.InferenceServerClient") -> None:
    given = triton.InferInput("images", [1, 32, 32, 3], "UINT8")
    given.set_data_from_numpy(np.zeros((1, 32, 32, 3), np.uint8))
    found = client.infer("pan-street", [given])
    assert found.as_numpy("labels").dtype == np.uint8
    assert found.as_numpy("confidence").dtype == np.float32


def test_errors_reach_the_client(client: "triton.InferenceServerClient") -> None:
    given = triton.InferInput("images", [1, 32, 32, 4], "UINT8")
    given.set_data_from_numpy(np.zeros((1, 32, 32, 4), np.uint8))
    with pytest.raises(triton.InferenceServerException, match=r"\[N, H, W, 3\]") as caught:
        client.infer("pan-street", [given])
    assert caught.value.status() == "400"


INPUT = {"name": "images", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [1, 2, 3, 4, 5, 6]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"inputs": []}, "one input"),
        ({"inputs": [INPUT, INPUT]}, "one input"),
        ({"inputs": ["images"]}, "one input"),
        ({"inputs": [INPUT | {"name": "x"}]}, "'images' of UINT8"),
        ({"inputs": [INPUT | {"datatype": "FP32"}]}, "'images' of UINT8"),
        ({"inputs": [INPUT | {"shape": [1, 2, 3]}]}, "[N, H, W, 3]"),
        ({"inputs": [INPUT | {"shape": [1, -1, -2, 3]}]}, "[N, H, W, 3]"),
        ({"inputs": [INPUT | {"shape": [1, 0, 2, 3]}]}, "[N, H, W, 3]"),
        ({"inputs": [INPUT | {"shape": [1, 2**40, 2**40, 3]}]}, "whole numbers"),
        ({"inputs": [INPUT | {"data": [1, 2, 3]}]}, "6 whole numbers"),
        ({"inputs": [INPUT | {"data": [1, 2, 3, 4, 5, 256]}]}, "0 to 255"),
        ({"inputs": [INPUT | {"data": [1, 2, 3, 4, 5, 6.5]}]}, "whole numbers"),
        ({"inputs": [INPUT | {"data": ["a"] * 6}]}, "whole numbers"),
        ({"inputs": [INPUT | {"data": [[1, 2, 3], [4, 5]]}]}, "different lengths"),
        ({"inputs": [INPUT | {"data": [[1, 2, 3], [4, 5, 6]]}]}, "nested as [2, 3]"),
        ({"inputs": [INPUT | {"parameters": {"binary_data_size": 6}}]}, "6 bytes by its shape"),
        ({"inputs": [INPUT], "outputs": [{"name": "logits"}]}, "the outputs are"),
        ({"inputs": [INPUT], "outputs": "labels"}, "outputs is a list"),
    ],
)
def test_what_does_not_fit_is_explained(server: Running, change: dict, says: str) -> None:
    answer = server.client.post("/v2/models/pan-street/infer", content=json.dumps(change))
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_raw_bytes_must_be_as_many_as_announced(server: Running) -> None:
    head = json.dumps({"inputs": [INPUT | {"data": None, "parameters": {"binary_data_size": 6}}]})
    for length, raw in ((len(head), b"12345"), (len(head) + 50, b""), (len(head), b"1234567")):
        answer = server.client.post(
            "/v2/models/pan-street/infer",
            content=head.encode() + raw,
            headers={"inference-header-content-length": str(length)},
        )
        assert answer.status_code == 400, (length, raw)


def test_there_is_one_version(server: Running) -> None:
    assert server.client.get("/v2/models/pan-street/versions/2").status_code == 404
