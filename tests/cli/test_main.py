"""The command line as a user meets it: help at once, no PyTorch for help, one line for a mistake."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from pyramid_attention.cli import main
from pyramid_attention.cli.main import name_options
from pyramid_attention.models import list_architectures


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_help_imports_no_torch_and_names_every_verb() -> None:
    code = (
        "import sys; from pyramid_attention.cli import main; code = main(['--help']);"
        "assert not {'torch', 'lightning', 'matplotlib', 'pydantic', 'onnxruntime'} & set(sys.modules); sys.exit(code)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    for verb in (
        "train",
        "eval",
        "predict",
        "export",
        "models",
        "bench",
        "ablate",
        "convert-checkpoint",
        "demo",
        "data",
    ):
        assert f"  {verb} " in done.stdout


def test_the_help_of_the_verbs_imports_no_torch() -> None:
    code = (
        "import sys; from pyramid_attention.cli import main;"
        "verbs = 'train eval predict export models bench ablate convert-checkpoint demo'.split();"
        "assert [main([verb, '--help']) for verb in verbs] == [0] * len(verbs);"
        "assert not {'torch', 'onnxruntime'} & set(sys.modules)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Usage: ") == 9


@pytest.mark.parametrize("verb", ["inspect", "convert"])
def test_the_verbs_of_data_need_no_torch(verb: str, tmp_path: Path) -> None:
    (tmp_path / "set/train").mkdir(parents=True)
    (tmp_path / "set/trainannot").mkdir()
    for folder in ("train", "trainannot"):
        for name in "ab":
            Image.new("L", (8, 8), 3).save(tmp_path / f"set/{folder}/{name}.png")
    arguments = [str(tmp_path / "set"), *([str(tmp_path / "copy")] if verb == "convert" else ["--out", str(tmp_path)])]
    code = (
        f"import sys; from pyramid_attention.cli import main; code = main(['data', '{verb}', *{arguments}]);"
        "assert not {'torch', 'matplotlib', 'onnxruntime'} & set(sys.modules); sys.exit(code)"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("message", "verb", "said"),
    [
        ("resume=True needs out=, the folder", "train", "--resume needs --out, the folder"),
        ('use device="cpu" (or auto)', "train", "use --device cpu (or auto)"),
        ("lower it: tile=512", "predict", "lower it: --tile 512"),
        ("leave out recipe= and fields=", "train", "leave out --recipe and --set"),
        ("data= holds nothing; val=0.5", "data convert", "data= holds nothing; --val 0.5"),
        ("data= holds nothing", "train", "DATA holds nothing"),
        ("train.epochs=5, 'out=5', runs/out=5, tile=5", "train", "train.epochs=5, 'out=5', runs/out=5, tile=5"),
    ],
)
def test_the_arguments_in_a_message_become_the_options_of_the_verb(message: str, verb: str, said: str) -> None:
    assert name_options(message, verb.split()) == said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'"),
        (["train"], "Missing argument 'DATA'"),
        (["train", "shapes", "--epochs", "3"], "No such option"),
        (["train", "nowhere"], "nowhere does not exist"),
        (["train", "shapes", "--set", "train.epoch=3"], "Did you mean 'train.epochs'"),
        (["train", "shapes", "--recipe", "shape"], "Did you mean 'shapes'"),
        (["train", "shapes", "--set", "data.options.trian=5"], "shapes has no option 'trian'. Did you mean 'train'"),
        (["train", "shapes", "--device", "gpu"], "no device 'gpu'"),
        (["train", "shapes", "--resume"], "--resume needs --out"),
        (["train", "shapes", "--format", "coco"], "shapes are drawn"),
        (["eval", "shapes", "--model", "nowhere"], "no model nowhere"),
        (["predict", "nothing.jpg", "--model", "nowhere"], "nothing.jpg does not exist"),
        (["demo", "--seed", "x"], "Invalid value for '--seed'"),
        (["models", "--backbone", "resnet181", "--cost", "32"], "Did you mean 'resnet18'"),
        (["models", "--cost", "0"], "Invalid value for '--cost'"),
        (["models", "--output-stride", "5", "--cost", "32"], "option --output-stride 5 is not possible"),
        (["models", "--cost", "100000", "--backbone", "test_resnet"], "do not fit into memory with pan"),
        (["convert-checkpoint", "nowhere.pth", "--backbone", "resnet18", "--out", "x"], "nowhere.pth does not exist"),
        (["demo", "--seed", "x"], "(see: pan demo --help)"),
        (["data"], "Missing command. (see: pan data --help)"),
        (["data", "inspct"], "No such command 'inspct'. Did you mean 'inspect'? (see: pan data --help)"),
        (["data", "inspect"], "Missing argument 'DATA'. (see: pan data inspect --help)"),
        (["data", "inspect", "shapes", "--split", "vla"], "shapes has no split 'vla'. Did you mean 'val'?"),
        (["data", "convert", "nowhere", "copy"], "nowhere does not exist"),
        (["data", "convert", "shapes", "copy", "--val", "x"], "(see: pan data convert --help)"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("pan: ")
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.iterdir())


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    words = ["-m", "pyramid_attention.cli", "data", "inspect", str(tmp_path / "none")]  # a verb that starts fast
    assert "Traceback" in python(*words, "--debug").stderr
    assert python(*words).stderr.count("\n") == 1


def test_what_the_system_refuses_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "x" * 300 + ".jpg", "--model", "y" * 300]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import pyramid_attention.evaluation

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pyramid_attention.evaluation, "open_as_trained", interrupted)
    assert main(["eval", "shapes"]) == 130
    assert capsys.readouterr().err == "pan: interrupted\n"


def test_a_request_to_end_is_an_interrupt(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import pyramid_attention.evaluation

    def terminated(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(pyramid_attention.evaluation, "open_as_trained", terminated)
    assert main(["eval", "shapes"]) == 130
    assert capsys.readouterr().err == "pan: interrupted\n"
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    import pyramid_attention

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"pan {pyramid_attention.__version__}\n"


def test_models_lists_the_ten_architectures_with_paper_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    plain = capsys.readouterr().out
    assert main(["models", "--cost", "32", "--backbone", "test_resnet", "--classes", "2"]) == 0
    cost = capsys.readouterr().out
    for name in list_architectures():
        assert f"  {name} " in plain
        (row,) = [line for line in cost.splitlines() if line.startswith(f"  {name} ")]
        assert all(float(number) > 0 for number in row.split()[1:4])
    assert "Yu et al., CVPR 2018" in cost
    assert "global_pooling" in plain


def test_names_that_the_terminal_cannot_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file's name may hold bytes that are no text, and a terminal may know no letter beyond ASCII."""
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))
    assert main(["--version"]) == 0
    print("ünï\udcff")
    sys.stdout.flush()
    assert shown.getvalue().endswith(rb"\xfcn\xef\udcff" + b"\n")


def test_each_verb_is_said_in_one_line_of_a_usual_terminal(monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    verbs = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert len(verbs) > 10
    assert not [line for line in verbs if line.endswith("...")]
