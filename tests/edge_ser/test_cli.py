"""The command's frame: lazy, helpful, and honest in its exit status."""

import argparse
import errno
import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import edge_ser
from edge_ser import cli
from edge_ser.cli import COMMANDS, Command, main
from edge_ser.errors import EdgeSerError


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch):
    """A command `probe` that does what the test says; the test sets ``probe.run``."""

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("word", nargs="?")

    module = SimpleNamespace(add_arguments=add_arguments, run=lambda args: 0)
    monkeypatch.setitem(COMMANDS, "probe", Command("tests.probe", "for tests"))
    monkeypatch.setitem(sys.modules, "tests.probe", module)
    return module


def _raise(error: BaseException):
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_the_status_is_the_commands(probe: SimpleNamespace) -> None:
    probe.run = lambda args: 1 if args.word == "bad" else 0
    assert main(["probe"]) == 0
    assert main(["probe", "bad"]) == 1


def test_a_users_mistake_is_one_sentence(probe: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    probe.run = _raise(EdgeSerError("there is no file x; check its name"))
    assert main(["probe"]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "edge-ser: there is no file x; check its name\n")


@pytest.mark.parametrize("argv", [["--debug", "probe"], ["probe", "--debug"], ["probe", "x", "--debug"]])
def test_debug_shows_the_traceback(probe: SimpleNamespace, argv: list[str]) -> None:
    probe.run = _raise(EdgeSerError("no"))
    with pytest.raises(EdgeSerError, match="^no$"):
        main(argv)


def test_a_file_that_cannot_be_opened_is_a_sentence(
    probe: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    probe.run = _raise(PermissionError(13, "Permission denied", "/root/x.wav"))
    assert main(["probe"]) == 2
    assert capsys.readouterr().err == "edge-ser: /root/x.wav: Permission denied\n"


def test_a_fault_of_ours_keeps_its_traceback(probe: SimpleNamespace) -> None:
    probe.run = _raise(ZeroDivisionError("ours"))
    with pytest.raises(ZeroDivisionError):
        main(["probe"])


def test_interrupt_is_130_without_a_word(probe: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    probe.run = _raise(KeyboardInterrupt())
    assert main(["probe"]) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_escaped(
    probe: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    probe.run = lambda args: print("ü 日本 \udcfc") or 0
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))
    assert main(["probe"]) == 0
    assert out.getvalue() == "ü 日本 \udcfc\n".encode(encoding, "backslashreplace")


def test_a_replaced_standard_output_is_left_alone(
    probe: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe.run = lambda args: print("日本") or 0
    monkeypatch.setattr(sys, "stdout", out := io.StringIO())
    assert main(["probe"]) == 0
    assert out.getvalue() == "日本\n"


@pytest.mark.parametrize(
    ("typed", "hint"), [("lisen", "did you mean listen?"), ("zzzz", "`edge-ser --help` lists the commands")]
)
def test_a_mistyped_command_names_the_near_one(
    typed: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([typed, "x.wav"]) == 2
    assert capsys.readouterr().err == f"edge-ser: there is no command {typed!r}; {hint}\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"edge-ser {edge_ser.__version__}\n"


def test_no_arguments_is_bad_use_and_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: edge-ser" in err


def test_an_unknown_option_is_bad_use(probe: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["probe", "--nonsense"])
    assert end.value.code == 2
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_options_are_not_guessed_from_their_beginning(probe: SimpleNamespace) -> None:
    with pytest.raises(SystemExit) as end:
        main(["probe", "--deb"])
    assert end.value.code == 2


def test_the_commands_threads_are_set_before_numpy(
    probe: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    probe.run = lambda args: seen.append(os.environ.get("OPENBLAS_NUM_THREADS")) or 0
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "set, so that monkeypatch restores it")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")
    main(["probe"])
    monkeypatch.setitem(COMMANDS, "probe", Command("tests.probe", "for tests", on_device=True))
    main(["probe"])
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    main(["probe"])
    assert seen == [None, "1", "2"]


def test_the_general_help_imports_neither_numpy_nor_a_command() -> None:
    code = (
        "import sys\nfrom edge_ser.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "bad = [m for m in sys.modules if m == 'numpy' or m.startswith(('edge_ser.commands', 'firmware_py'))]\n"
        "sys.exit(' '.join(bad) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    for name in set(COMMANDS) - {"probe"}:
        assert f"\n    {name} " in run.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="a shell with pipefail")
def test_a_reader_that_leaves_is_no_error() -> None:
    code = (
        "import sys, types\nfrom edge_ser import cli\n"
        "def run(args):\n    for i in range(200000):\n        print(i)\n    return 0\n"
        "sys.modules['p'] = types.SimpleNamespace(add_arguments=lambda parser: None, run=run)\n"
        "cli.COMMANDS['p'] = cli.Command('p', 'prints')\n"
        "sys.exit(cli.main(['p']))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == cli.EXIT_BROKEN_PIPE


def shell(command: str) -> subprocess.CompletedProcess[str]:
    """Run ``edge-ser`` by a shell, which can close its streams."""
    line = f"{shlex.quote(sys.executable)} -m edge_ser {command}"
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(os.name != "posix", reason="closes descriptors as a POSIX shell does")
def test_streams_that_the_caller_closed_are_the_null_device() -> None:
    wrong = shell("models ./nowhere 2>&-")
    assert (wrong.returncode, wrong.stdout) == (2, "")  # words for people are no data
    data = shell("models -o json 2>&-")
    assert data.returncode == 0 and json.loads(data.stdout)["models"]
    assert shell("models <&- >&- 2>&-").returncode == 2  # data have to go somewhere
    silent = shell("listen - <&-")
    assert silent.returncode == 2 and "standard input is empty" in silent.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc for what a descriptor is")
def test_a_closed_descriptor_is_taken_before_a_file_gets_it() -> None:
    code = "import os; from edge_ser.cli import main; main(['models']); print(os.readlink('/proc/self/fd/2'))"
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} 2>&-"
    run = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=120, check=True)
    assert run.stdout.splitlines()[-1] == os.devnull


def _in_shell(redirected: str) -> subprocess.CompletedProcess[str]:
    """A command that prints and says something, with its streams as a shell redirects them."""
    code = (
        "import sys, types\nfrom edge_ser import cli\n"
        "def run(args):\n    print('data')\n    print('words', file=sys.stderr)\n    return 0\n"
        "sys.modules['p'] = types.SimpleNamespace(add_arguments=lambda parser: None, run=run)\n"
        "cli.COMMANDS['p'] = cli.Command('p', 'prints')\n"
        "sys.exit(cli.main(['p']))"
    )
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirected}', sys.executable, code]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's full device")
def test_a_full_disk_behind_standard_output_is_a_sentence() -> None:
    run = _in_shell("> /dev/full")
    assert run.returncode == 2
    said = "edge-ser: cannot write (No space left on device); make room, or write elsewhere\n"
    assert run.stderr.removeprefix("words\n") == said  # which come later where Python does not buffer


@pytest.mark.skipif(sys.platform == "win32", reason="a shell")
def test_streams_that_are_closed() -> None:
    run = _in_shell(">&-")
    assert run.returncode == 2
    assert run.stderr.startswith("edge-ser: standard output is closed; send it somewhere")
    assert run.stderr.count("\n") == 1
    run = _in_shell("2>&-")
    assert (run.returncode, run.stdout) == (0, "data\n")  # and no words among them


def test_every_exit_status_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    for text in (capsys.readouterr().out, readme):
        told = text[text.index("Exit status: 0 done") :].split("\n\n")[0]
        for status in (1, cli.EXIT_BAD_USE, cli.EXIT_INTERRUPTED, cli.EXIT_BROKEN_PIPE):
            assert f" {status} " in told.replace("\n", " ")


def test_python_m_is_the_same_command() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "edge_ser", "--version"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"edge-ser {edge_ser.__version__}\n"


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert f"usage: edge-ser {name}" in text
    assert "examples:" in text
    assert f"  edge-ser {name}" in text.split("examples:")[1]
    assert max(map(len, text.splitlines())) <= 120  # a longer one is two whose break was swallowed


def test_a_reader_that_goes_away_is_the_shells_status(probe: SimpleNamespace) -> None:
    probe.run = _raise(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert main(["probe"]) == 141


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_is_a_sentence_whatever_lacks_it(
    probe: SimpleNamespace, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    probe.run = _raise(OSError(number, os.strerror(number)))
    assert main(["probe"]) == 2
    said = f"edge-ser: cannot write ({os.strerror(number)}); make room, or write elsewhere\n"
    assert capsys.readouterr().err == said


def test_a_file_may_be_called_as_an_option_is(
    probe: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    probe.run = lambda args: _raise(EdgeSerError(f"there is no file {args.word}"))(args)
    assert main(["probe", "--", "--debug"]) == 2
    assert capsys.readouterr().err == "edge-ser: there is no file --debug\n"
