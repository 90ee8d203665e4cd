"""Studies: what may stand in one, equal budgets, broken variants, and a study that is killed and resumed."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from datetime import date

import pytest
import yaml

from pyramid_attention.cli import main
from pyramid_attention.errors import UserError
from pyramid_attention.models import build_model, list_architectures
from pyramid_attention.studies import ablate
from pyramid_attention.studies.study import Study, list_studies, load_study
from pyramid_attention.training.recipe import load_recipe
from pyramid_attention.training.resolve import resolve
from support import set_options

SMALL = {
    "data.options": {"train": 8, "val": 2, "test": 1, "size": 64},
    "data.crop": [64, 64],
    "data.workers": 0,
    "train.epochs": 1,
    "model.options.channels": 8,
}
TWO = {
    "title": "Gate or none",
    "reference": "gate",
    "seeds": [0, 1],
    "variants": {"gate": {"model.options.gate": "channel"}, "none": {"model.options.gate": "none"}},
}


def small(**changes) -> Study:
    return Study.model_validate(TWO | changes)


# Built-in studies


def test_the_built_in_studies_are_there():
    assert list_studies() == ["architectures", "context", "fpa", "gau"]


@pytest.mark.parametrize("name", ["architectures", "context", "fpa", "gau"])
def test_every_variant_of_the_built_in_studies_is_a_network_of_its_own(name):
    study = load_study(name)
    _, recipes, _ = ablate._resolve_all(study, "shapes", {}, None, None)
    configs = []
    for variant in study.variants:
        model = recipes[variant].model
        net = build_model(
            model.architecture,
            num_classes=2,
            backbone="test_resnet",
            context=model.context,
            decoder=model.decoder,
            **model.options,
        )
        configs.append(net.spec)
    assert len({str(config) for config in configs}) == len(study.variants)
    assert study.seeds == (0, 1, 2)


def test_architectures_compares_all_of_them_and_gau_all_gates():
    assert [v["model.architecture"] for v in load_study("architectures").variants.values()] == list_architectures()
    assert {v["model.options.gate"] for v in load_study("gau").variants.values()} == {
        "channel",
        "spatial",
        "both",
        "none",
    }


# What may stand in a study


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"reference": "gat"}, "the reference 'gat' is no variant. Did you mean 'gate'?"),
        ({"variants": {}}, "variants"),
        ({"variants": {"gate": {"train.epochs": 3}}}, "variant 'gate' sets train.epochs, but data and budget must be"),
        ({"fields": {"train.epochs": date(2020, 1, 1)}}, "recipe field 'train.epochs'"),
        ({"variants": {"gate": {"data.crop": [8, 8]}}}, "variant 'gate' sets data.crop"),
        ({"variants": {"gate": {"data": {"crop": [8, 8]}}}}, "variant 'gate' sets data,"),
        ({"variants": {"gate": {"train": {"epochs": 3}}}}, "variant 'gate' sets train,"),
        ({"variants": {"gate": {}, "../x": {}}}, "variants.../x"),
        ({"seeds": [1, 1]}, "a seed stands twice"),
        ({"seeds": []}, "seeds"),
        ({"seeds": [-1]}, "seeds"),
        ({"fields": {"seed": 1}}, "write 'seeds: [0, 1, 2]'"),
        ({"variantz": {}}, "Did you mean 'variants'?"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(change, says, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(TWO | change))
    assert main(["ablate", str(path), "shapes", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gua", "shapes"], "no study is called 'gua'. Did you mean 'gau'?"),
        (["missing.yaml", "shapes"], "cannot read the study missing.yaml"),
        (["gau", "nowhere"], "nowhere does not exist"),
        (["gau", "shapes", "--seeds", "a"], "--seeds takes whole numbers"),
        (["gau", "shapes", "--set", "train.epoch=1"], "no field 'train.epoch'. Did you mean 'train.epochs'?"),
        (["gau", "shapes", "--resume"], "--resume needs --out"),
        (["gau", "shapes", "--device", "cuba"], "there is no device 'cuba'; use one of auto, cpu, cuda, mps"),
    ],
)
def test_mistakes_on_the_command_line(arguments, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["ablate", *arguments]) == 2
    assert says in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_text_that_is_no_study(tmp_path):
    for text, says in [
        ("[1, 2]", "must have the fields"),
        ("a: [", "is not valid YAML"),
        ("[" * 5000, "is not valid YAML"),
    ]:
        (tmp_path / "s.yaml").write_text(text)
        with pytest.raises(UserError, match=says):
            load_study(tmp_path / "s.yaml")


# Recipes of the variants


def test_shared_options_go_to_the_variants_that_have_them():
    study = small(variants={"gate": {}, "base": {"model.architecture": "baseline"}, "odd": {"model.options.gates": 1}})
    _, recipes, _ = ablate._resolve_all(study, "shapes", SMALL, None, None)
    assert recipes["gate"].model.options == {"channels": 8, "gate_activation": "sigmoid"}
    assert recipes["base"].model.options == {}
    assert recipes["odd"].model.options["gates"] == 1  # a mistake of the variant's own is not hidden


def test_what_no_network_of_the_study_has_is_not_left_out_in_silence():
    study = small(variants={"gate": {}, "base": {"model.architecture": "baseline"}})
    shared = {**SMALL, "model.options.chanels": 8, "model.options.align_corners": True}
    _, recipes, _ = ablate._resolve_all(study, "shapes", shared, None, None)
    for variant in recipes.values():
        assert variant.model.options["chanels"] == 8  # for the network to refuse, with the nearest name
        assert variant.model.options["align_corners"] is True


def test_the_data_set_is_opened_once(monkeypatch):
    opened = []
    monkeypatch.setattr(ablate, "resolve", lambda *given: opened.append(given) or resolve(*given))
    ablate._resolve_all(load_study("architectures"), "shapes", SMALL, None, None)
    assert len(opened) == 1


# Running


@pytest.fixture
def trained(monkeypatch):
    """`train` replaced by one that writes the metrics of a run at once; the recipes it was given."""
    calls = []

    def train(data, recipe, *, out, resume, device):
        calls.append(recipe)
        if recipe.model.options.get("gate") == "none" and recipe.seed == 1:
            raise RuntimeError("out of luck")
        out.mkdir(parents=True)
        (out / "checkpoints").mkdir()
        recipe.save(out / "recipe.yaml")
        names = ("background", "disc", "square", "triangle", "star", "ring", "cross")
        last = dict.fromkeys(("miou", "pixel_accuracy", "mean_accuracy"), 0.5 + recipe.seed / 10)
        last |= {"frequency_weighted_iou": 0.5, "per_class": {name: {"iou": 0.5} for name in names}}
        (out / "metrics.json").write_text(ablate.json.dumps({"last": last}))

    monkeypatch.setattr(ablate, "train", train)
    return calls


def test_each_variant_and_seed_gets_the_same_budget(trained, tmp_path):
    result = ablate.run_study(small(), "shapes", fields=SMALL, out=tmp_path / "s")
    assert [(r.model.options["gate"], r.seed) for r in trained] == [
        *(("channel", 0), ("none", 0), ("channel", 1), ("none", 1))
    ]
    for recipe in trained:
        assert [f for f in recipe.differences(trained[0]) if f not in ("seed", "model.options.gate")] == []
    assert result.failures == {"none, seed 1": "RuntimeError: out of luck"}
    assert result.comparison.miou("gate") == pytest.approx((0.55, 0.0707), abs=1e-4)
    assert "none, seed 1: RuntimeError: out of luck" in (tmp_path / "s" / "table.md").read_text()
    assert not (tmp_path / "s" / "runs" / "gate" / "seed-0" / "checkpoints").exists()


def test_what_is_finished_is_not_trained_again(trained, tmp_path):
    ablate.run_study(small(), "shapes", fields=SMALL, out=tmp_path / "s")
    trained.clear()
    ablate.run_study(small(), "shapes", fields=SMALL, out=tmp_path / "s", resume=True)
    assert [(r.model.options["gate"], r.seed) for r in trained] == [("none", 1)]  # the one that failed
    trained.clear()
    more = small(seeds=[0, 1, 2])
    ablate.run_study(more, "shapes", fields=SMALL, out=tmp_path / "s", resume=True)
    assert [(r.model.options["gate"], r.seed) for r in trained] == [("none", 1), ("channel", 2), ("none", 2)]


def test_a_study_can_be_asked_again_from_its_folder(trained, tmp_path, monkeypatch):
    reference = {"gate": {"model.options.gate": "none"}, "plain": {}}
    ablate.run_study(small(seeds=[0], variants=reference), "shapes", fields=SMALL, out=tmp_path / "s")
    first = list(trained)
    trained.clear()
    monkeypatch.chdir(tmp_path.parent)  # the study's recipe is found beside it
    ablate.run_study(tmp_path / "s" / "study.yaml", "shapes", out=tmp_path / "again")
    assert [recipe.differences(one) for recipe, one in zip(trained, first, strict=True)] == [[], []]
    assert "gate" not in trained[1].model.options  # the reference's own fields stay with it


def test_problems_of_the_data_set_end_a_study_before_it_begins(trained, tmp_path, monkeypatch):
    def with_problems(*given):
        recipe, dataset = resolve(*given)
        return recipe, dataclasses.replace(dataset, problems=("a has two masks",))

    monkeypatch.setattr(ablate, "resolve", with_problems)
    with pytest.raises(UserError, match="a has two masks"):
        ablate.run_study(small(), "shapes", fields=SMALL, out=tmp_path / "s")
    assert trained == []


def test_a_study_is_resumed_as_it_was_begun_or_not_at_all(trained, tmp_path):
    ablate.run_study(small(), "shapes", fields=SMALL, out=tmp_path / "s")
    with pytest.raises(UserError, match="already holds files; go on with its study with resume=True"):
        ablate.run_study(small(), "shapes", fields=SMALL, out=tmp_path / "s")
    with pytest.raises(UserError, match=r"was begun with another train.epochs, train.validate_every; resume with the"):
        ablate.run_study(small(), "shapes", fields={**SMALL, "train.epochs": 2}, out=tmp_path / "s", resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "photo.jpg").touch()
    with pytest.raises(UserError, match=r"is not a study's folder"):
        ablate.run_study(small(), "shapes", fields=SMALL, out=tmp_path / "other", resume=True)


def test_a_study_whose_runs_decided_some_fields_themselves_is_resumed(trained, tmp_path):
    ablate.run_study(small(), "shapes", fields=SMALL, recipe="finetune", out=tmp_path / "s")
    for path in (tmp_path / "s").glob("runs/*/*/recipe.yaml"):
        recipe = load_recipe(path)
        assert "train.learning_rate" in recipe.auto
        recipe.with_fields({"train.learning_rate": 0.0123}).model_copy(update={"auto": ()}).save(path)
    before = len(trained)
    ablate.run_study(small(), "shapes", fields=SMALL, recipe="finetune", out=tmp_path / "s", resume=True)
    assert len(trained) == before + 1  # the one that fails each time
    fields = {**SMALL, "train.learning_rate": 0.1}
    with pytest.raises(UserError, match=r"was begun with another train.learning_rate; resume with the"):
        ablate.run_study(small(), "shapes", fields=fields, recipe="finetune", out=tmp_path / "s", resume=True)


def test_a_variant_that_cannot_be_built_is_reported_and_the_rest_goes_on(trained, tmp_path, capsys):
    path = tmp_path / "mine.yaml"
    odd = {"odd": {"model.options.gate": "chanel"}}
    path.write_text(yaml.safe_dump(TWO | {"seeds": [0], "variants": TWO["variants"] | odd}))
    arguments = ["ablate", str(path), "shapes", "--out", str(tmp_path / "s"), *set_options(SMALL)]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert "odd failed: option gate='chanel' is not possible" in captured.err
    assert "1 failed, see" in captured.err
    assert "| gate    |   50.0 |" in captured.out
    assert len(trained) == 2


def test_a_killed_study_ends_with_the_table_when_resumed(tmp_path):
    path, out = tmp_path / "mine.yaml", tmp_path / "s"
    path.write_text(yaml.safe_dump(TWO | {"seeds": [0]}))
    command = [sys.executable, "-m", "pyramid_attention.cli", "ablate", str(path), "shapes", "--out", str(out)]
    command += set_options(SMALL)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    first = out / "runs" / "gate" / "seed-0" / "metrics.json"
    while not first.exists() and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert first.exists()
    assert not (out / "runs" / "none" / "seed-0" / "metrics.json").exists()
    before = first.stat().st_mtime_ns
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=True)
    assert first.stat().st_mtime_ns == before
    assert "| none " in done.stdout
    assert "[2/2] none, seed 0" in done.stderr
    table = (out / "table.md").read_text()
    assert "Gate or none" in table
    assert "1 epochs" not in table
