"""Videos in, videos out: every label, time stamp and sound, also where a run was killed or a camera went away."""

from __future__ import annotations

import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av")
pytest.importorskip("cv2")

from clips import (  # noqa: E402
    HEIGHT,
    TICKS,
    WIDTH,
    bar,
    bar_labels,
    camera,
    frames_of,
    sound_of,
    times_of,
    turned,
    write_clip,
)
from inference.test_predict import Brightness  # noqa: E402
from pyramid_attention.artifacts import ModelInfo  # noqa: E402
from pyramid_attention.errors import MissingExtra, SomeFailed, UserError  # noqa: E402
from pyramid_attention.images import Bands  # noqa: E402
from pyramid_attention.inference import Segmenter  # noqa: E402
from pyramid_attention.inference.options import VideoOptions  # noqa: E402
from pyramid_attention.inference.predict_files import predict_files, steps  # noqa: E402
from pyramid_attention.inference.sources import find_images  # noqa: E402
from pyramid_attention.inference.video import clip as clip_module  # noqa: E402
from pyramid_attention.inference.video import predict_videos as module  # noqa: E402
from pyramid_attention.report.overlays import steady_overlay  # noqa: E402


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    """Of 16 frames, which is what goes through the network together."""
    monkeypatch.setattr(module, "SEGMENT", 16)


class Saved(Brightness):
    """Of a model that was saved: what a run left is taken to be made by it."""

    info = ModelInfo(classes=Brightness.info.classes, weights_sha256="1" * 64)


def plain(segmentation):
    return segmentation.overlay()


def run(place, out: Path, engine=None, on_done=None, resume=False, **options):
    videos = VideoOptions(**({"draw": plain, "label_maps": "mkv"} | options))
    source = find_images([str(place)], out)
    segmenter = Segmenter(engine or Saved())
    return predict_files(segmenter, source, out, videos=videos, on_done=on_done, resume=resume)


def labels_of(path: Path) -> list[np.ndarray]:
    return frames_of(path, "gray")


def test_a_video_becomes_an_overlay_and_label_maps_at_the_same_times_with_its_sound(tmp_path):
    """Of a variable rate, and odd in height and width."""
    times = [0, 10, 200, 210] + [900 + 40 * index for index in range(16)]
    images = [bar(index)[:-1, :-1] for index in range(20)]
    path = write_clip(tmp_path / "a.mp4", images, times=times, sound="aac")
    summary = run(path, tmp_path / "out")
    assert (summary.done, summary.videos, summary.failed, summary.cut_off) == (1, 1, [], [])
    assert {one.name for one in (tmp_path / "out").iterdir()} == {".pan-predictions", "a.mkv", "a_overlay.mp4"}
    np.testing.assert_array_equal(
        labels_of(tmp_path / "out" / "a.mkv"), [bar_labels(index)[:-1, :-1] for index in range(20)]
    )
    overlay = tmp_path / "out" / "a_overlay.mp4"
    assert times_of(overlay) == times_of(path)
    assert np.allclose([float(t) for t in times_of(tmp_path / "out" / "a.mkv")], np.array(times) / TICKS, atol=6e-4)
    assert sound_of(overlay) == sound_of(path)
    shown = frames_of(overlay)
    assert shown[0].shape == (HEIGHT, WIDTH, 3)  # even, as H.264 wants it
    colours = Brightness.info.classes.palette()
    expected = (bar(9)[:-1, :-1].astype(int) + colours[bar_labels(9)[:-1, :-1]]) / 2
    assert np.abs(shown[9][:-1, :-1] - expected)[:, [2, 4, 20, 40]].max() < 25  # but at the edge of the colours


def test_one_of_n_frames_and_label_maps_as_png(tmp_path):
    path = write_clip(tmp_path / "a.mkv", 20, codec="ffv1", pixels="bgr0")
    counted = []
    assert run(path, tmp_path / "out", every=7, label_maps="png", on_done=lambda: counted.append(1)).done == 1
    maps = sorted((tmp_path / "out" / "a").glob("*.png"))
    assert [one.name for one in maps] == ["000000.png", "000007.png", "000014.png"]
    for index, one in zip((0, 7, 14), maps, strict=True):
        np.testing.assert_array_equal(np.array(Image.open(one)), bar_labels(index))
    found = times_of(tmp_path / "out" / "a_overlay.mp4")
    assert [float(one) for one in found] == pytest.approx([0, 0.35, 0.7])
    assert len(counted) == 3 == steps(find_images([str(path)]), VideoOptions(draw=plain, every=7))
    assert not (tmp_path / "out" / "a.mkv").exists()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("after", [5, 33])
def test_stopped_anywhere_the_same_command_goes_on_and_ends_with_the_same(tmp_path, smooth, after):
    """A stop costs the segment that was being made: nothing before is segmented again."""
    rng = np.random.default_rng(0)
    images = [
        np.clip(bar(index).astype(int) + rng.integers(-90, 90, (HEIGHT, WIDTH, 1)), 0, 255) for index in range(50)
    ]
    path = write_clip(tmp_path / "a.mkv", [image.astype(np.uint8) for image in images], codec="ffv1", pixels="bgr0")
    whole = Saved()
    run(path, tmp_path / "whole", whole, smooth=smooth)
    out, done = tmp_path / "out", []

    def stop() -> None:
        done.append(1)
        if len(done) == after:
            raise Killed

    with pytest.raises(Killed):
        run(path, out, on_done=stop, smooth=smooth)
    second = Saved()
    assert run(path, out, second, smooth=smooth).done == 1
    again = sum(shape[0] for shape in second.shapes)
    assert again <= 50 - (after - 8) // 16 * 16  # some are written while the next are counted
    assert again % 16 == 2
    np.testing.assert_array_equal(labels_of(out / "a.mkv"), labels_of(tmp_path / "whole" / "a.mkv"))
    assert times_of(out / "a_overlay.mp4") == times_of(tmp_path / "whole" / "a_overlay.mp4")
    np.testing.assert_array_equal(frames_of(out / "a_overlay.mp4"), frames_of(tmp_path / "whole" / "a_overlay.mp4"))


def test_what_was_asked_for_otherwise_is_begun_anew(tmp_path):
    path = write_clip(tmp_path / "a.mkv", 40, codec="ffv1", pixels="bgr0")
    done = []

    def stop() -> None:
        done.append(1)
        if len(done) == 20:
            raise Killed

    with pytest.raises(Killed):
        run(path, tmp_path / "out", on_done=stop)
    engine = Saved()
    run(path, tmp_path / "out", engine, every=2)
    assert sum(shape[0] for shape in engine.shapes) == 20
    assert len(labels_of(tmp_path / "out" / "a.mkv")) == 20


KILLED = """
import sys, time
sys.path[:0] = {paths!r}
from inference.video.test_predict_videos import Saved, module, run
class Slow(Saved):
    def __call__(self, images):
        time.sleep(0.3)
        return super().__call__(images)
module.SEGMENT = 16
run(sys.argv[1], __import__("pathlib").Path(sys.argv[2]), Slow())
"""


def test_a_killed_process_leaves_what_the_next_goes_on_with(tmp_path):
    path = write_clip(tmp_path / "a.mkv", 60, codec="ffv1", pixels="bgr0")
    out = tmp_path / "out"
    code = KILLED.format(paths=[str(Path(__file__).parents[2]), *sys.path])
    process = subprocess.Popen([sys.executable, "-c", code, str(path), str(out)])
    deadline = time.monotonic() + 60
    while not list(out.glob(".pan-video-a/segments/000000.json")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (out / "a.mkv").exists()
    engine = Saved()
    assert run(path, out, engine).done == 1
    assert sum(shape[0] for shape in engine.shapes) <= 44
    np.testing.assert_array_equal(labels_of(out / "a.mkv"), [bar_labels(index) for index in range(60)])
    assert {one.name for one in out.iterdir()} == {".pan-predictions", "a.mkv", "a_overlay.mp4"}


def test_done_is_done_and_files_of_others_are_left(tmp_path):
    path = write_clip(tmp_path / "a.mp4", 4)
    run(path, tmp_path / "out")
    engine = Saved()
    assert run(path, tmp_path / "out", engine, resume=True).done == 1
    assert engine.shapes == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "a_overlay.mp4").write_text("mine")
    with pytest.raises(UserError, match=r"would be overwritten .*: a_overlay\.mp4;"):
        run(path, tmp_path / "mine")
    assert (tmp_path / "mine" / "a_overlay.mp4").read_text() == "mine"


def test_a_clip_that_is_cut_off_is_done_as_far_as_it_goes(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (30, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = write_clip(tmp_path / "a.mp4", list(noise), movie={"movflags": "faststart"}, bf="0", sound="aac")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    summary = run(path, tmp_path / "out")
    count = len(labels_of(tmp_path / "out" / "a.mkv"))
    assert 10 < count < 29
    with pytest.raises(SomeFailed, match=rf"a\.mp4 is cut off after {count} frames; these are done$") as caught:
        summary.check()
    assert caught.value.exit_code == 1


def test_broken_ones_do_not_stop_the_rest(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"no video")
    write_clip(folder / "b.mp4", 3)
    Image.fromarray(bar(5)).save(folder / "c.png")
    summary = run(folder, tmp_path / "out")
    assert (summary.done, summary.videos) == (2, 1)
    assert [place for place, _ in summary.failed] == [str(folder / "a.mp4")]
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "out" / "c.png")), bar_labels(5))
    with pytest.raises(SomeFailed, match=r"1 of 3 inputs failed, the others are done: .*a\.mp4 cannot be opened"):
        summary.check()


def test_a_turned_clip_gets_an_upright_result(tmp_path):
    run(turned(write_clip(tmp_path / "a.mp4", 3, aspect=Fraction(4, 3))), tmp_path / "out")
    np.testing.assert_array_equal(labels_of(tmp_path / "out" / "a.mkv")[2], np.rot90(bar_labels(2), -1))
    assert frames_of(tmp_path / "out" / "a_overlay.mp4")[0].shape == (WIDTH, HEIGHT, 3)
    with av.open(str(tmp_path / "out" / "a_overlay.mp4")) as overlay:
        assert overlay.streams.video[0].sample_aspect_ratio == Fraction(3, 4)


def test_what_videos_do_not_have_is_refused(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", 3)
    source, options = find_images([path]), VideoOptions(draw=plain)
    for refused in ({"confidence": True}, {"polygons": tmp_path / "a.geojson"}, {"videos": None}):
        with pytest.raises(UserError, match=r"of videos, as .*a\.mp4, there are an overlay and label maps"):
            predict_files(Segmenter(Brightness()), source, tmp_path / "out", **({"videos": options} | refused))
    with pytest.raises(UserError, match=r"one of every=N frames is segmented, N 1 or more, not 0"):
        VideoOptions(draw=plain, every=0)
    with pytest.raises(UserError, match="mkv or png, not label_maps=gif"):
        VideoOptions(draw=plain, label_maps="gif")
    tiled = predict_files(
        Segmenter(Brightness(), tile=128),
        find_images([write_clip(tmp_path / "b.mkv", [np.zeros((48, 300, 3), np.uint8)], codec="ffv1", pixels="bgr0")]),
        tmp_path / "out",
        videos=VideoOptions(draw=plain, smooth=True),
    )
    assert "go by tiles; shrink them for it with max_size=" in tiled.failed[0][1]
    monkeypatch.setattr("pyramid_attention.errors.is_installed", lambda name: name != "av")
    with pytest.raises(MissingExtra, match=r"a\.mp4 needs av, .*pip install 'pyramid-attention\[video\]'"):
        predict_files(Segmenter(Brightness()), source, tmp_path / "out", videos=options)


def test_the_overlay_of_every_frame_has_one_size_whatever_is_in_it(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [np.zeros((240, 320, 3), np.uint8), np.full((240, 320, 3), 255, np.uint8)])
    run(path, tmp_path / "out", draw=steady_overlay())
    first, second = frames_of(tmp_path / "out" / "a_overlay.mp4")
    assert first.shape[0] > 250
    assert np.abs(first[242:].astype(int) - second[242:]).max() < 12  # the same legend of all classes
    assert np.ptp(first[242:]) > 100


@pytest.mark.parametrize("rtsp", [True, False])
def test_a_camera_that_goes_away_leaves_what_it_showed(tmp_path, rtsp):
    stream = write_clip(tmp_path / "a.ts", 20, bf="0", g="5").read_bytes()
    out = tmp_path / "out"
    with camera(stream, rtsp=rtsp) as address:
        assert steps(find_images([address]), VideoOptions(draw=plain)) is None
        summary = run(address, out, on_done=lambda: None)
    (labels,) = out.glob("*.mkv")
    assert labels.name.startswith("127.0.0.1_")
    assert "secret" not in "".join(one.name for one in out.rglob("*"))
    found = labels_of(labels)
    assert 1 <= len(found) <= 20
    for one in found:
        assert (one == one[:1]).all()  # a bar
    ((_, reason),) = summary.cut_off
    assert "went away" in reason
    assert "secret" not in reason
    with pytest.raises(SomeFailed, match="went away"):
        summary.check()


def test_a_camera_that_falls_silent_is_not_waited_for_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(clip_module, "TIMEOUT", 1.0)
    stream = write_clip(tmp_path / "a.ts", 20, bf="0", g="5").read_bytes()
    with camera(stream, rtsp=True, hang=True) as address:
        summary = run(address, tmp_path / "out")
    assert "went away (silent for 1 seconds)" in summary.cut_off[0][1]


def test_the_keyboard_ends_the_watching_of_a_camera(tmp_path):
    stream = write_clip(tmp_path / "a.ts", 60, bf="0", g="5").read_bytes()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with camera(stream, rtsp=True, hang=True) as address:
        summary = run(address, tmp_path / "out", on_done=interrupt)
    assert (summary.done, summary.cut_off, summary.failed) == (1, [], [])
    assert len(labels_of(next((tmp_path / "out").glob("*.mkv")))) >= 1


def test_what_a_killed_run_had_of_a_camera_is_rescued(tmp_path):
    stream = write_clip(tmp_path / "a.ts", 60, bf="0", g="5").read_bytes()
    out = tmp_path / "out"

    def stop() -> None:
        if list(out.glob(".pan-video-*/segments/000000.json")):
            raise Killed

    with camera(stream, rtsp=False, hang=True) as address:
        with pytest.raises(Killed):
            run(address, out, on_done=stop)
        assert not list(out.glob("*.mkv"))
    with pytest.raises(UserError, match=r"127\.0\.0\.1.* cannot be reached"):
        run(address, out).check()
    (rescued,) = out.glob("*.mkv")
    assert len(labels_of(rescued)) >= 16
    assert len(frames_of(next(out.glob("*_overlay.mp4")))) == len(labels_of(rescued))


def test_a_model_of_other_bands_is_refused_before_anything_is_written(tmp_path):
    engine = Saved()
    engine.info = ModelInfo(classes=Brightness.info.classes, bands=Bands(("nir",), "uint16"))
    path = write_clip(tmp_path / "a.mp4", 2)
    ((place, said),) = run(path, tmp_path / "out", engine).failed
    assert place == str(path)
    assert "takes images of 1 band of uint16 (nir), and this one has 3 bands of uint8" in said
    assert [one.name for one in (tmp_path / "out").iterdir()] == [".pan-predictions"]


def test_resume_does_again_what_other_options_made(tmp_path):
    path = write_clip(tmp_path / "a.mkv", 20, codec="ffv1", pixels="bgr0")
    for every, frames in ((1, 20), (4, 5)):
        assert run(path, tmp_path / "out", every=every, resume=True).done == 1
        assert len(labels_of(tmp_path / "out/a.mkv")) == frames
