"""Metrics, read by Prometheus' own parser."""

import pytest

from pyramid_attention.serving.metrics import Metrics
from served import Running

parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus_client")


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_histograms_and_gauges() -> None:
    metrics = Metrics()
    metrics.gauge("pan_requests_busy", lambda: 3)
    metrics.count("pan_images_total", 2, model='a "b"\\\n')
    metrics.count("pan_images_total", 1, model='a "b"\\\n')
    for value in (0.5, 1, 7, 1000):
        metrics.observe("pan_batch_images", value, (1.0, 8.0), model="m")
    found = samples(metrics.render())
    assert found["pan_requests_busy", ()] == 3
    assert found["pan_images_total", (("model", 'a "b"\\\n'),)] == 3
    buckets = {labels: value for (name, labels), value in found.items() if name == "pan_batch_images_bucket"}
    assert {dict(labels)["le"]: value for labels, value in buckets.items()} == {"1.0": 2, "8.0": 3, "+Inf": 4}
    assert found["pan_batch_images_count", (("model", "m"),)] == 4
    assert found["pan_batch_images_sum", (("model", "m"),)] == 1008.5


def test_a_server_counts_what_it_does(server: Running, png: bytes) -> None:
    def images() -> float:
        return samples(server.client.get("/metrics").text).get(("pan_images_total", (("model", "again"),)), 0)

    before = images()
    for _ in range(3):
        server.client.post("/v1/segment?model=again", content=png)
    server.client.get("/nowhere/at/all")
    assert server.becomes_idle()
    found = samples(server.client.get("/metrics").text)
    assert images() == before + 3
    assert found["pan_requests_total", (("path", "/v1/segment"), ("status", "200"))] >= 3
    assert found["pan_requests_total", (("path", "other"), ("status", "404"))] >= 1  # not a name for every wrong path
    assert found["pan_requests_busy", ()] == 0
    assert found["pan_pixels_held", ()] == 0
