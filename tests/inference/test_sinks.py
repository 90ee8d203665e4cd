"""A folder of results: what is written, what is done, what is never replaced, and who does what."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyramid_attention.classes import ClassTable
from pyramid_attention.errors import UserError
from pyramid_attention.images import ArrayImage
from pyramid_attention.inference import Segmentation
from pyramid_attention.inference.manifest import LOGS
from pyramid_attention.inference.sinks import CONFIDENCE, LABEL_MAP, Claim, FileSink, overlay_output
from pyramid_attention.inference.sources import Item

CLASSES = ClassTable.of(["dark", "bright"], [[1, 2, 3], [200, 100, 0]])
A, B, C = (Item(name, f"in/{name}.jpg", "1") for name in ("a", "deep/b", "c"))
MODEL, OTHER = {"model": "x", "tta": False}, {"model": "y", "tta": False}


def segmentation(label: int = 0) -> Segmentation:
    labels = np.full((4, 5), label, np.uint8)
    image = ArrayImage(np.full((4, 5, 3), 100, np.uint8))
    return Segmentation(labels, CLASSES, image, lambda: np.full((4, 5), 0.5, np.float32))


def write(out: Path, *items: Item, label: int = 0, **options) -> list[Claim]:
    """Ask for items and write those that are ours."""
    claims = []
    with FileSink(out, **{"made_by": MODEL, **options}) as sink:
        sink.check(items)
        for item in items:
            claims.append(sink.claim(item))
            if claims[-1] is Claim.OURS:
                sink.write(item, segmentation(label))
    return claims


def files(out: Path) -> list[str]:
    return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file() and LOGS not in p.parts)


def label(out: Path, name: str) -> int:
    return int(np.asarray(Image.open(out / name))[0, 0])


def test_the_outputs_are_what_they_say(tmp_path):
    drawn = np.full((6, 7, 3), 9, np.uint8)
    outputs = [LABEL_MAP, overlay_output(lambda segmentation: drawn), CONFIDENCE]
    write(tmp_path, B, label=1, outputs=outputs)
    assert files(tmp_path) == ["deep/b.png", "deep/b_confidence.png", "deep/b_overlay.jpg"]
    with Image.open(tmp_path / "deep" / "b.png") as image:
        assert image.mode == "P"
        assert image.getpalette()[:6] == [1, 2, 3, 200, 100, 0]
        np.testing.assert_array_equal(np.asarray(image), np.ones((4, 5)))
    with Image.open(tmp_path / "deep" / "b_confidence.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), np.full((4, 5), 128))
    with Image.open(tmp_path / "deep" / "b_overlay.jpg") as image:
        np.testing.assert_array_equal(np.asarray(image), drawn)
    assert FileSink(tmp_path, outputs, made_by=MODEL).needs_confidence
    assert not FileSink(tmp_path, made_by=MODEL).needs_confidence


def test_our_own_results_are_made_anew_and_with_resume_left(tmp_path):
    assert write(tmp_path, A, B) == [Claim.OURS, Claim.OURS]
    assert write(tmp_path, A, C, label=1, resume=True) == [Claim.DONE, Claim.OURS]
    assert [label(tmp_path, name) for name in ("a.png", "deep/b.png", "c.png")] == [0, 0, 1]
    assert write(tmp_path, A, B, label=1) == [Claim.OURS, Claim.OURS]
    assert [label(tmp_path, name) for name in ("a.png", "deep/b.png", "c.png")] == [1, 1, 1]


@pytest.mark.parametrize(
    ("items", "options"),
    [
        ([A], {"made_by": OTHER}),
        ([Item("a", "in/a.jpg", "2")], {}),  # the image has changed
        ([A], {"outputs": [LABEL_MAP, CONFIDENCE]}),
    ],
)
def test_resume_does_again_what_is_of_another_model_or_image_or_not_all_there(tmp_path, items, options):
    write(tmp_path, A)
    assert write(tmp_path, *items, label=1, resume=True, **options) == [Claim.OURS]
    assert label(tmp_path, "a.png") == 1
    assert write(tmp_path, *items, label=0, resume=True, **options) == [Claim.DONE]
    (tmp_path / "a.png").unlink()
    assert write(tmp_path, *items, label=0, resume=True, **options) == [Claim.OURS]


def test_files_that_are_not_ours_are_refused_before_anything_is_done(tmp_path):
    for name in ("a.png", "c.png"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(UserError, match=r"holds 2 files that .*: a\.png, c\.png; .*out=, or replace .*overwrite=True"):
        write(tmp_path, A, B, C)
    assert files(tmp_path) == ["a.png", "c.png"]
    assert sorted(os.listdir(tmp_path)) == ["a.png", "c.png"]  # nothing hidden either
    with FileSink(tmp_path, made_by=MODEL) as sink, pytest.raises(UserError, match=r"holds 1 file that .*: a\.png;"):
        sink.claim(A)  # of a source that is not known beforehand
    assert (tmp_path / "a.png").read_text() == "mine"
    assert write(tmp_path, A, overwrite=True) == [Claim.OURS]
    assert (label(tmp_path, "a.png"), (tmp_path / "c.png").read_text()) == (0, "mine")
    assert write(tmp_path, A, label=1) == [Claim.OURS]  # now it is ours
    many = [Item(f"x{index}", "y", "1") for index in range(5)]
    for item in many:
        (tmp_path / f"{item.name}.png").touch()
    with pytest.raises(UserError, match=r"holds 5 files that .*: x0\.png, x1\.png, x2\.png, …;"):
        write(tmp_path, *many)


def test_a_result_that_somebody_changed_is_theirs(tmp_path):
    write(tmp_path, A, B)
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"were changed since: a\.png;"):
        write(tmp_path, A, B)
    assert write(tmp_path, A, B, resume=True) == [Claim.DONE, Claim.DONE]  # corrected by hand, and left
    with pytest.raises(UserError, match=r"were changed since: a\.png;"):
        write(tmp_path, A, B, resume=True, made_by=OTHER)
    assert label(tmp_path, "a.png") == 7


def test_a_folder_that_was_copied_is_known_by_its_digests(tmp_path):
    write(tmp_path / "x", A)
    shutil.copytree(tmp_path / "x", tmp_path / "y", copy_function=shutil.copy)  # with new times
    assert write(tmp_path / "y", A, label=1) == [Claim.OURS]
    assert label(tmp_path / "y", "a.png") == 1


def test_a_folder_in_the_way_is_refused_also_where_files_may_be_replaced(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UserError, match=r"holds 1 file that would be overwritten .*: a\.png;"):
        write(tmp_path, A, overwrite=True)


def test_no_result_takes_the_place_of_an_image_or_of_another_result(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    image = tmp_path / "in" / "a.png"
    image.write_text("an image")
    (tmp_path / "b.png").symlink_to(image)
    for place in (image, tmp_path / "b.png", tmp_path / "link" / ".." / "in" / "a.png"):
        with pytest.raises(UserError, match=r"a\.png, a result of .*, would overwrite the image .*; choose another"):
            write(tmp_path / "link", Item("a", str(place)), overwrite=True)
    assert image.read_text() == "an image"
    clash = [Item("a", "a.jpg"), Item("a_confidence", "a_confidence.jpg")]
    with pytest.raises(UserError, match=r"a\.jpg and a_confidence\.jpg would both be written as .*a_confidence\.png"):
        write(tmp_path / "out", *clash, outputs=[LABEL_MAP, CONFIDENCE])
    write(tmp_path / "out", *clash)


def test_a_name_too_long_is_no_result_but_no_fault_of_the_others(tmp_path):
    long = Item("x" * 248, "x.jpg", "1")
    with FileSink(tmp_path, [LABEL_MAP, CONFIDENCE], made_by=MODEL) as sink:
        sink.check([long, A])
        assert sink.claim(long) is Claim.OURS
        with pytest.raises(UserError, match="File name too long"):
            sink.write(long, segmentation())
        sink.give_up(long, "too long")
        assert sink.claim(A) is Claim.OURS
        sink.write(A, segmentation())
    fits = Item("x" * 241, "x.jpg", "1")
    assert write(tmp_path, fits) == [Claim.OURS]
    assert (tmp_path / f"{fits.name}.png").is_file()


def test_a_further_file_is_ours_as_the_results_are(tmp_path):
    def put(text: str) -> None:
        with FileSink(tmp_path, made_by=MODEL, others=["all.zip"]) as sink:
            sink.check([A])
            with sink.put("all.zip") as temporary:
                temporary.write_text(text)

    put("one")
    put("two")
    assert (tmp_path / "all.zip").read_text() == "two"
    (tmp_path / "all.zip").write_text("mine")
    with pytest.raises(UserError, match=r"all\.zip"):
        put("three")


# Several processes: two sinks hold locks against each other as two processes do


def test_two_runs_share_the_work(tmp_path):
    with FileSink(tmp_path, made_by=MODEL) as first:
        assert first.claim(A) is Claim.OURS
        first.write(A, segmentation())
        assert first.claim(B) is Claim.OURS
        with FileSink(tmp_path, made_by=MODEL) as second:
            second.check([A, B, C])
            assert [second.claim(item) for item in (A, B, C)] == [Claim.DONE, Claim.ELSEWHERE, Claim.OURS]
            assert first.claim(C) is Claim.ELSEWHERE
            first.write(B, segmentation())
            second.write(C, segmentation())
            assert second.claim(B) is Claim.DONE
        assert first.claim(C) is Claim.DONE
    assert write(tmp_path, A, B, C) == [Claim.OURS] * 3  # a later run is on its own


def test_what_a_partner_writes_while_a_run_begins_is_not_foreign(tmp_path):
    with FileSink(tmp_path, made_by=MODEL) as late, FileSink(tmp_path, made_by=MODEL) as partner:
        assert partner.claim(A) is Claim.OURS
        partner.write(A, segmentation())
        (tmp_path / "c.png").write_bytes(b"theirs")
        with pytest.raises(UserError, match=r"holds 1 file that .*: c\.png;"):
            late.check([A, C])
        late.check([A])
        assert late.claim(A) is Claim.DONE


def test_a_run_that_joins_a_partner_of_an_ended_run_knows_what_that_did(tmp_path):
    with FileSink(tmp_path, made_by=MODEL) as first:
        first.claim(A)
        first.write(A, segmentation())
        second = FileSink(tmp_path, made_by=MODEL)
        second.__enter__()
    with FileSink(tmp_path, made_by=MODEL) as third:
        assert third.claim(A) is Claim.DONE
    second.__exit__(None, None, None)


def test_what_one_failed_at_the_others_leave_and_say_why(tmp_path):
    with FileSink(tmp_path, made_by=MODEL) as first, FileSink(tmp_path, made_by=MODEL) as second:
        assert first.claim(A) is Claim.OURS
        first.give_up(A, "in/a.jpg is damaged")
        with pytest.raises(UserError, match=r"^in/a\.jpg is damaged$"):
            second.claim(A)
    assert write(tmp_path, A) == [Claim.OURS]


def test_runs_of_other_models_do_not_share_a_folder(tmp_path):
    with FileSink(tmp_path, made_by=MODEL) as first:
        first.claim(A)
        with pytest.raises(UserError, match=f"another process is writing results of another model.* to {tmp_path}"):
            FileSink(tmp_path, made_by=OTHER).__enter__()
        first.write(A, segmentation())
    assert write(tmp_path, A, made_by=OTHER) == [Claim.OURS]


def test_two_images_of_one_name_from_two_runs_are_not_mixed(tmp_path):
    with FileSink(tmp_path, made_by=MODEL) as first, FileSink(tmp_path, made_by=MODEL) as second:
        first.claim(A)
        first.write(A, segmentation())
        with pytest.raises(UserError, match=r"a\.png, a result of other/a\.jpg, has just been made of another image"):
            second.claim(Item("a", "other/a.jpg", "9"))


def test_many_threads_and_sinks_do_each_item_once(tmp_path):
    items = [Item(f"{index:03}", "x", "1") for index in range(60)]
    ours: list[str] = []

    def run() -> None:
        with FileSink(tmp_path, made_by=MODEL) as sink:
            for item in items:
                if sink.claim(item) is Claim.OURS:
                    ours.append(item.name)
                    sink.write(item, segmentation())

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ours) == [item.name for item in items]


def lines(out: Path) -> list:
    return [json.loads(line) for log in (out / LOGS).glob("*.jsonl") for line in log.read_text().split("\n") if line]


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from inference.test_sinks import A, B, MODEL, FileSink, segmentation
sink = FileSink(Path(sys.argv[1]), made_by=MODEL)
sink.__enter__()
sink.claim(A), sink.write(A, segmentation()), sink.claim(B)
step, real = int(sys.argv[3]), os.replace
if step:
    os.replace = lambda *paths: (step == 2 and real(*paths), os.kill(os.getpid(), signal.SIGKILL))
    sink.write(B, segmentation())
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("step", ["claimed", "about to be replaced", "replaced"])
def test_after_a_kill_at_any_step_the_next_run_goes_on_and_clears_up(tmp_path, step):
    number = ["claimed", "about to be replaced", "replaced"].index(step)
    tests = str(Path(__file__).parents[1])
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), tests, str(number)], check=False)
    assert (tmp_path / "deep" / "b.png").exists() == (step == "replaced")
    assert len(list(tmp_path.glob(".pan-*"))) > 1
    expected = Claim.DONE if step == "replaced" else Claim.OURS
    assert write(tmp_path, A, B, resume=True) == [Claim.DONE, expected]
    assert write(tmp_path, A, B, label=1) == [Claim.OURS, Claim.OURS]
    assert sorted(os.listdir(tmp_path)) == [LOGS, "a.png", "deep"]


def test_a_kill_before_a_result_is_replaced_leaves_it_that_of_the_model_before(tmp_path, monkeypatch):
    write(tmp_path, A)
    with FileSink(tmp_path, made_by=OTHER) as sink, monkeypatch.context() as patch:
        assert sink.claim(A) is Claim.OURS
        patch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sink.write(A, segmentation(1))
    assert sum(line[0] == "a.png" for line in lines(tmp_path) if isinstance(line, list)) == 2
    assert write(tmp_path, A, resume=True) == [Claim.DONE]
    assert write(tmp_path, A, resume=True, made_by=OTHER, label=1) == [Claim.OURS]
    assert label(tmp_path, "a.png") == 1
