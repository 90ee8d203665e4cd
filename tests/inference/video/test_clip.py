"""Decoding: every frame upright, in RGB, at its time; what a file lacks is said once the rest was given."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av")

from clips import HEIGHT, STEP, TICKS, WIDTH, bar, turned, write_clip  # noqa: E402
from pyramid_attention.errors import UserError  # noqa: E402
from pyramid_attention.inference.video.clip import Clip, Frame  # noqa: E402


def read(place, **which) -> tuple[list[Frame], str | None]:
    """The frames, and what is said in the end."""
    clip, frames = Clip(str(place)), []
    try:
        for frame in clip.frames(**which):
            frames.append(frame)
    except UserError as error:
        return frames, str(error)
    finally:
        clip.close()
    return frames, None


def seconds(place, frames: list[Frame]) -> list[float]:
    clip = Clip(str(place))
    clip.close()
    return [float(frame.time * clip.time_base) for frame in frames]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "ffv1"), ("a.avi", "libx264"), ("a.ts", "libx264")]
)
def test_frames_come_in_their_order_with_their_times(tmp_path, name, codec):
    """With H.264, whose frames lean on later ones and are stored in another order."""
    path = write_clip(tmp_path / name, 20, codec=codec)
    frames, said = read(path)
    assert said is None
    assert [frame.index for frame in frames] == list(range(20))
    assert np.allclose(np.diff(seconds(path, frames)), STEP / TICKS, atol=1e-3)
    for index, frame in enumerate(frames):
        assert np.abs(frame.image.astype(int) - bar(index)).max() < 12


def test_a_variable_rate_keeps_its_times(tmp_path):
    times = [0, 10, 200, 210, 900, 1500]
    path = write_clip(tmp_path / "a.mp4", 6, times=times)
    frames, said = read(path)
    assert said is None
    assert seconds(path, frames) == pytest.approx([time / TICKS for time in times])


def test_frames_that_are_not_wanted_are_left_out(tmp_path):
    path = write_clip(tmp_path / "a.mp4", 20)
    frames, _ = read(path, begin=6, every=5)
    assert [frame.index for frame in frames] == [6, 11, 16]
    assert np.abs(frames[1].image.astype(int) - bar(11)).max() < 12


def test_what_a_phone_recorded_upright_is_upright(tmp_path):
    path = turned(write_clip(tmp_path / "a.mp4", 3))
    frames, said = read(path)
    assert said is None
    assert frames[0].image.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(frames[2].image.astype(int) - np.rot90(bar(2), -1)).max() < 12


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "ffv1")])
def test_a_file_that_is_cut_off_gives_what_is_readable_and_says_so(tmp_path, name, codec):
    noise = np.random.default_rng(0).integers(0, 256, (30, HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = write_clip(tmp_path / name, list(noise), codec=codec, movie={"movflags": "faststart"}, bf="0")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.7)])
    frames, said = read(path)
    assert 15 < len(frames) < 25
    assert f"{path} is cut off after {len(frames)} frames; these are done" in str(said)


def test_damage_in_the_middle_costs_frames_and_not_the_rest(tmp_path):
    path = write_clip(tmp_path / "a.mkv", 20, codec="ffv1", slicecrc="1", g="1")
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        start = [packet.pos for packet in file.demux(video=0)][10]
    content[start + 30 : start + 60] = bytes(30)
    path.write_bytes(content)
    frames, said = read(path)
    assert len(frames) >= 18
    assert np.abs(frames[-1].image.astype(int) - bar(19)).max() < 12
    assert said is None or "is damaged" in said


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"text, and no video" * 99)
    (tmp_path / "none.mp4").touch()
    whole = write_clip(tmp_path / "b.mp4", 5).read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: whole.index(b"moov")])  # what says where its frames are comes last
    for name in ("a.mp4", "none.mp4", "b.mp4"):
        with pytest.raises(UserError, match=rf"{name} cannot be opened as a video: .*; it is cut off, damaged or no"):
            Clip(str(tmp_path / name))
    with av.open(str(tmp_path / "c.mp4"), "w") as file:
        audio = file.add_stream("aac", rate=8000, layout="mono")
        file.mux(audio.encode(None))
    with pytest.raises(UserError, match=r"c\.mp4 (holds no video|cannot be opened)"):
        Clip(str(tmp_path / "c.mp4"))
    with pytest.raises(UserError, match=r"64×48 pixels, above the limit of 3,000; scale it down"):
        Clip(str(write_clip(tmp_path / "d.mp4", 2)), max_pixels=3000)


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_an_image_with_the_suffix_of_a_video_is_refused(tmp_path, format):
    Image.fromarray(bar(3)).save(tmp_path / "a.mp4", format)
    with pytest.raises(UserError, match=rf"a\.mp4 is an image \({format.lower()}\) and no video; give it the suffix"):
        Clip(str(tmp_path / "a.mp4"))


def test_jpeg_images_in_a_row_are_a_video(tmp_path):
    for index in range(3):
        Image.fromarray(bar(index)).save(tmp_path / "one.jpg", quality=95)
        with (tmp_path / "a.mjpeg").open("ab") as file:
            file.write((tmp_path / "one.jpg").read_bytes())
    frames, said = read(tmp_path / "a.mjpeg")
    assert said is None
    assert len(frames) == 3
    assert all(np.abs(frame.image.astype(int) - bar(frame.index)).mean() < 3 for frame in frames)


def test_a_video_without_frames_says_so(tmp_path):
    path = write_clip(tmp_path / "a.avi", 0, codec="mjpeg", pixels="yuvj420p")
    try:
        frames, said = read(path)
    except UserError as error:
        frames, said = [], str(error)
    assert frames == []
    assert "a.avi" in str(said)


def test_a_place_without_a_name_in_dns_and_a_silent_port_are_no_videos():
    with pytest.raises(UserError, match=r"rtsp://127\.0\.0\.1:9/x cannot be reached: .*; check the address"):
        Clip("rtsp://me:secret@127.0.0.1:9/x")


def test_hdr_is_mapped_and_noted(tmp_path):
    grey = [np.full((HEIGHT, WIDTH, 3), 148, np.uint8)] * 2  # 0.58 of PQ: the reference white, 203 cd/m²
    path = write_clip(
        tmp_path / "a.mp4",
        grey,
        codec="libx265",
        pixels="yuv420p10le",
        **{"x265-params": "log-level=none:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"},
    )
    clip = Clip(str(path))
    (first, _) = clip.frames()
    assert clip.notes == [f"{path} is HDR (PQ); its tones are mapped to the usual ones for network and overlay"]
    # 255 × (1 + 1/(1000/203)²)/2)^(1/2.4)
    assert np.abs(first.image.astype(int) - 194).max() <= 3
