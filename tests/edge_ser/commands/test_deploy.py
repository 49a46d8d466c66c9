"""``edge-ser deploy`` up to the boards: what becomes of its options, and what it says of them."""

import json
import os
import shlex
import sys
import zipfile
from pathlib import Path

import pytest

from edge_ser.cli import main
from edge_ser.commands import deploy as command
from edge_ser.deploy import Plan, Target, check_extras, deploy, deploy_all
from edge_ser.errors import EdgeSerError
from tests.support import program_wheel

HOST = "pi@nowhere.invalid"


@pytest.fixture
def wheel(tmp_path):
    return str(program_wheel(tmp_path, "1.0", ""))


@pytest.fixture
def asked(monkeypatch):
    """What boards would be asked for; one went well and one did not."""
    calls = []
    best = {"engine": "litert", "ok": True, "duty_cycle": 0.25, "step_ms": {"p50": 2}, "rss_mb": {"peak": 40}}
    bench = {"runs": [{"ok": False}, {"engine": "numpy", "ok": True, "duty_cycle": 0.5}, best]}
    well = {"ok": True, "reason": None, "release": "new", "before": "", "bench": bench}

    def boards(targets, plan, *, jobs, progress):
        calls.append((targets, plan, jobs))
        progress(targets[0].host, "check")
        return [
            well | {"host": target.host, "board": {"board": "", "arch": "aarch64", "python": "3.13"}}
            if i == 0
            else {"host": target.host, "ok": False, "reason": "no way"}
            for i, target in enumerate(targets)
        ]

    monkeypatch.setattr(command, "deploy_all", boards)
    return calls


def test_what_is_left_out(asked, wheel, capsys):
    assert main(["deploy", HOST, "--wheel", wheel]) == 0
    out, err = capsys.readouterr()
    assert err == f"edge-ser: {HOST}: check\n"
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()]
    assert dict(zip(cells[0], cells[2], strict=True)) == {
        "host": HOST, "ok": "yes", "board": "aarch64", "python": "3.13", "engine": "litert", "step ms": "2",
        "core": "0.25", "MB": "40", "release": "new", "before": "-",
    }  # fmt: skip
    [([target], plan, jobs)] = asked
    assert target == Target(HOST) and jobs == 8
    assert plan == Plan([Path(wheel)], listen="arecord --doze -o jsonl --log answers.jsonl")
    assert plan.index and plan.service == "edge-ser" and plan.prefix == "/opt/edge-ser"


def test_what_is_given(asked, wheel, numpy_bundle, tmp_path, capsys):
    (tmp_path / "boards").write_text("pi@hall\n")
    (tmp_path / "key").touch()
    words = [
        "deploy",
        HOST,
        HOST,
        "--hosts",
        str(tmp_path / "boards"),
        "--wheel",
        wheel,
        "--no-index",
        "--jobs",
        "2",
    ]
    words += [
        "--model",
        str(numpy_bundle.path),
        "--service",
        "ear",
        "--listen",
        'mic --exec "echo 1"',
        "--port",
        "2222",
    ]
    words += ["--prefix", "/srv/ear", "--python", "python3.12", "--identity", str(tmp_path / "key")]
    words += [
        "--ssh-option",
        "A=b",
        "--ssh-option",
        "C=d",
        "--reports",
        str(tmp_path / "reports"),
        "-o",
        "json",
    ]
    assert main(words) == 1  # one of them failed
    first, second = json.loads(capsys.readouterr().out)["boards"]
    assert first["ok"] and second == {"host": "pi@hall", "ok": False, "reason": "no way"}
    [(targets, plan, jobs)] = asked
    assert jobs == 2
    assert targets == [
        Target(host, 2222, str(tmp_path / "key"), ("A=b", "C=d")) for host in (HOST, "pi@hall")
    ]
    assert plan == Plan(
        [Path(wheel)], index=False, model=numpy_bundle.path, service="ear", listen="mic --exec 'echo 1'",
        prefix="/srv/ear", python="python3.12",
    )  # fmt: skip
    reports = tmp_path / "reports"
    assert [path.name for path in reports.iterdir()] == [f"{HOST}.json"]
    assert json.loads((reports / f"{HOST}.json").read_text()) == first["bench"]


def test_a_board_that_failed_is_a_row_with_the_reason(asked, wheel, capsys):
    assert main(["deploy", HOST, "pi@hall", "--wheel", wheel]) == 1
    line = capsys.readouterr().out.splitlines()[-1]
    assert [cell.strip() for cell in line.split("|")[1:3]] == ["pi@hall", "no"] and "| no way |" in line


def test_what_listens_may_name_a_model_that_the_board_has(asked, wheel):
    assert main(["deploy", HOST, "--wheel", wheel, "--listen", "mic --model /srv/model"]) == 0
    assert asked[0][1].listen == "mic --model /srv/model" and asked[0][1].model is None


def test_without_a_service_and_without_a_run_that_went_well(asked, wheel, monkeypatch, capsys):
    assert main(["deploy", HOST, "--wheel", wheel, "--no-service", "--prefix", "/home/pi/ser"]) == 0
    assert asked[0][1].service == "" and asked[0][1].prefix == "/home/pi/ser"
    capsys.readouterr()
    board = {"board": "Raspberry Pi Zero 2", "arch": "aarch64", "python": "3.13"}
    row = {"host": HOST, "ok": True, "board": board, "bench": {"runs": []}, "release": "b", "before": "a"}
    monkeypatch.setattr(command, "deploy_all", lambda *given, **more: [row])
    assert main(["deploy", HOST, "--wheel", wheel, "-o", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == f"{HOST},True,Raspberry Pi Zero 2,3.13,,,,,b,a"


def test_links_of_this_machine_say_nothing_of_a_place_on_the_board(asked, wheel, tmp_path, monkeypatch):
    monkeypatch.setattr("firmware_py.service._HOMES", (str(tmp_path / "homes"),))
    (tmp_path / "ear").symlink_to(tmp_path / "homes")
    assert main(["deploy", HOST, "--wheel", wheel, "--prefix", str(tmp_path / "ear")]) == 0
    assert asked[0][1].prefix == str(tmp_path / "ear")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--listen", "mic --model stream72k", "--model", "stream72k"),
            "both say what listens: leave one out",
        ),
        (
            ("--listen", "mic --model=stream72k", "--model", "stream72k"),
            "both say what listens: leave one out",
        ),
        (("--listen", "mic --exec 'a\nb'"), "may hold no line break"),
        (("--listen", "mic:" + os.fsdecode(b"\xff")), "is text in UTF-8"),
        (("--service", "ear.service"), "leave out .service at its end"),
        (("--model", "none-such"), "there is no model or bundle folder 'none-such'"),
        (("--identity", "none-such"), "there is no key 'none-such'"),
        (("--port", "0"), "give 1 to 65535"),
        (("--prefix", "ear"), "is no absolute path"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_before_anything_is_built(
    options, said, monkeypatch, tmp_path, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "_build", lambda folder: pytest.fail("a wheel was built"))
    assert main(["deploy", HOST, *options]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1
    assert main(["deploy", "--reports", "file"]) == 2
    assert "name a board: edge-ser deploy pi@raspberrypi.local, or --hosts FILE" in capsys.readouterr().err


def test_extras_are_those_of_the_wheel(asked, tmp_path, capsys):
    path = tmp_path / "edge_ser-2.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "edge_ser-2.0.dist-info/METADATA", "Name: edge-ser\nProvides-Extra: litert\nProvides-Extra: a-b\n"
        )
    assert main(["deploy", HOST, "--wheel", str(path), "--extras", "LiteRT, A_b"]) == 0
    assert asked[0][1].requirement == "edge-ser[LiteRT, A_b]"
    capsys.readouterr()
    assert main(["deploy", HOST, "--wheel", str(path), "--extras", "litert,mik"]) == 2
    assert f"--extras names 'mik', and {path.name} has litert, a-b" in capsys.readouterr().err
    check_extras(
        [tmp_path / "numpy-2.0-cp313-cp313-linux_armv7l.whl"], "mik"
    )  # edge-ser's may come from the index
    for data in (b"no archive", b""):
        path.write_bytes(data)
        with pytest.raises(
            EdgeSerError, match=r"edge_ser-2\.0-py3-none-any\.whl is no wheel that can be read"
        ):
            check_extras([path], "litert")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("README", "")
    with pytest.raises(EdgeSerError, match="is no wheel that can be read"):
        check_extras([path], "litert")
    path.unlink()
    with pytest.raises(EdgeSerError, match="cannot read .*: No such file"):
        check_extras([path], "litert")


def python(folder, text, monkeypatch):
    (folder / "python").write_text("#!/bin/sh\n" + text)
    (folder / "python").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))


def test_the_wheel_that_is_built_runs_on_any_machine(asked, tmp_path, monkeypatch, capsys):
    made = "edge_ser-3.0-py3-none-any.whl"
    python(
        tmp_path,
        f'echo "$*" > {tmp_path}/words\nwhile [ "$1" != -w ]; do shift; done\necho "$EDGE_SER_BUILD" > "$2/{made}"\n',
        monkeypatch,
    )
    given = []
    monkeypatch.setattr(Plan, "__post_init__", lambda plan: given.extend(p.read_text() for p in plan.wheels))
    assert main(["deploy", HOST]) == 0
    assert given == ["numpy\n"] and [path.name for path in asked[0][1].wheels] == [made]
    words = (tmp_path / "words").read_text().split()
    assert words[:4] == ["-m", "pip", "wheel", "--quiet"] and "--no-deps" in words
    assert words[-1] == str(Path(__file__).parents[3])


@pytest.mark.parametrize(
    ("text", "said"),
    [("echo one >&2; echo two >&2; exit 1", r"\(two\)"),
     ('while [ "$1" != -w ]; do shift; done; touch "$2/a.whl"; exit 1', r"\(no message\)"),
     ("exit 1", r"\(no message\)"), ("exit 0", r"\(no message\)")],
)  # fmt: skip
def test_a_wheel_that_cannot_be_built(tmp_path, monkeypatch, text, said):
    python(tmp_path, text, monkeypatch)
    with pytest.raises(EdgeSerError, match=f"the wheel cannot be built {said}; give --wheel FILE"):
        command._build(tmp_path)
    monkeypatch.setattr(command, "__file__", str(tmp_path / "a/b/c.py"))
    with pytest.raises(EdgeSerError, match="this is no checkout to build a wheel from; give --wheel FILE"):
        command._build(tmp_path)


# --- ssh and rsync, in whose place others stand


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Lets shell texts be ssh and rsync; each notes its words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def be(**texts):
        for name, text in texts.items():
            (folder / name).write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/{name}-words\n{text}\n')
            (folder / name).chmod(0o755)

    return be


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo a >&2; echo 'Permission denied.' >&2; exit 255",
         r"ssh cannot log in or lost the connection at check \(Permission denied\.\)$"),
        ("echo 'edge-ser-deploy: make room' >&2; echo 'Connection closed.' >&2; exit 255", "check: make room$"),
        ("echo 'edge-ser-deploy: a' >&2; echo 'edge-ser-deploy: b' >&2; echo c >&2; exit 3", "check: b$"),
        ("printf 'first\\nlast \\377\\n' >&2; exit 1", "check: last \N{REPLACEMENT CHARACTER}$"),
        ("exit 7", "check: status 7$"),
    ],
)  # fmt: skip
def test_what_failed_is_told_in_its_own_words(programs, wheel, text, said):
    programs(ssh=text)
    with pytest.raises(EdgeSerError, match=f"^{HOST}: {said}"):
        deploy(Target(HOST), Plan([Path(wheel)]))


def test_a_program_that_is_not_here_and_a_step_without_an_end(programs, wheel, monkeypatch, tmp_path):
    plan = Plan([Path(wheel)])
    monkeypatch.setattr("edge_ser.deploy._STEP_S", 0.2)
    programs(ssh='case "$*" in *"-O exit"*) ;; *) exec sleep 20;; esac')
    with pytest.raises(EdgeSerError, match=r"check took longer than 0\.2 s"):
        deploy(Target(HOST), plan)
    programs(ssh="exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(EdgeSerError, match="rsync is not installed here; apt install openssh-client rsync"):
        deploy(Target(HOST), plan)


def test_a_report_that_is_none(programs, wheel, tmp_path):
    programs(ssh="cat > /dev/null; echo Welcome", rsync="exit 0")
    with pytest.raises(EdgeSerError, match=r"bench gave no report \('Welcome\\n'\)"):
        deploy(Target(HOST), Plan([Path(wheel)]))
    told = (tmp_path / "ssh-words").read_text().splitlines()
    assert all("BatchMode=yes" in line for line in told) and told[-1].endswith(f"-O exit {HOST}")
    assert (
        len({line.split("ControlPath=")[1].split()[0] for line in told}) == 1
    )  # one connection for all steps


def test_one_that_fails_stops_no_other(programs, wheel):
    """Each is told as it was named, in the order of their names; the first fails at its beginning."""
    programs(
        ssh='cat > /dev/null; case "$*" in *bad*) exit 9;; *bench*) echo "{}";; *switch*) echo before=old;; esac',
        rsync="exit 0",
    )
    heard = []
    plan = Plan([Path(wheel)])
    bad, good = deploy_all(
        [Target("bad"), Target("good")], plan, jobs=1, progress=lambda host, step: heard.append((host, step))
    )
    assert bad == {"host": "bad", "ok": False, "reason": "bad: check: status 9"}
    assert good == {
        "host": "good", "ok": True, "reason": None, "release": plan.release, "before": "old", "board": {}, "bench": {},
    }  # fmt: skip
    assert heard[:2] == [("bad", "check"), ("good", "check")] and heard[-1] == ("good", "tidy")


def test_the_words_of_each_step(programs, wheel, tmp_path, numpy_bundle):
    programs(
        ssh='cat > /dev/null; case "$*" in *bench*) echo "{}";; *switch*) echo before=old;; esac',
        rsync="exit 0",
    )
    plan = Plan([Path(wheel)], "edge-ser[mic]", model=numpy_bundle.path, listen="mic", python="python3.12")
    deploy(Target(HOST), plan)
    deploy(Target(HOST), Plan([Path(wheel)], index=False, service=""))
    steps = {}
    for line in (tmp_path / "ssh-words").read_text().splitlines():
        words = shlex.split(line)
        if "sh" in words:
            rest = words[words.index("sh") :]
            assert rest[:3] == ["sh", "-s", "--"] and rest[4] == "/opt/edge-ser"
            steps.setdefault(rest[3], []).append(rest[7:])
    model = f"/opt/edge-ser/releases/{plan.release}/model"
    assert steps == {
        "check": [["python3.12", "edge-ser", "200000"], ["python3", "", "200000"]],
        "build": [["python3.12", "edge-ser[mic]", "yes"], ["python3", "edge-ser", "no"]],
        "try": [[model], [""]],
        "switch": [["edge-ser", "mic --model /opt/edge-ser/current/model"], ["", ""]],
        "bench": [[model], [""]],
        "tidy": [["old"], ["old"]],
    }
    sent = [line.split()[-2:] for line in (tmp_path / "rsync-words").read_text().splitlines()]
    remote = f"{HOST}:/opt/edge-ser/incoming/{plan.release}/"
    assert sent[:2] == [[wheel, remote], [f"{numpy_bundle.path}/", remote + "model/"]] and len(sent) == 3
    uploads = [shlex.split(line) for line in (tmp_path / "rsync-words").read_text().splitlines()]
    assert len(uploads) == 3 and not any("-s" in words for words in uploads)  # which rsync 2 does not know
    deploy(Target(HOST), Plan([Path(wheel)], prefix="/opt/edge ser"))
    assert "-s" in shlex.split((tmp_path / "rsync-words").read_text().splitlines()[-1])
