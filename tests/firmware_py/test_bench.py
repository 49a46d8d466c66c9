"""bench: every engine measured in processes of its own, what cannot run is told, budgets pass or fail."""

import argparse
import contextlib
import json
import os
import sys

import pytest

from edge_ser.bundle import Bundle
from edge_ser.cli import main
from edge_ser.commands import bench as command
from edge_ser.errors import EdgeSerError
from firmware_py import bench, bench_child, energy, machine
from firmware_py.bench import candidates, measure
from firmware_py.machine import describe_machine, machine_line


@pytest.fixture(scope="module")
def numpy_run(numpy_bundle: Bundle) -> dict:
    [run] = measure(numpy_bundle, [("numpy", "fp32")], rounds=2, steps=15)
    return run


def test_a_run_has_the_documented_keys(numpy_run: dict, numpy_bundle: Bundle) -> None:
    assert numpy_run["ok"]
    assert numpy_run["reason"] is None
    assert numpy_run["file_kb"] == pytest.approx(numpy_bundle.file("numpy").stat().st_size / 1000, abs=0.06)
    assert set(numpy_run["step_ms"]) == {"p50", "p95", "p99"}
    assert set(numpy_run["rss_mb"]) == {"import", "load", "peak"}
    assert numpy_run["macs_per_s"] == numpy_bundle.macs_per_second
    assert numpy_run["steps"] == 30


def test_the_figures_hang_together(numpy_run: dict) -> None:
    step, rss = numpy_run["step_ms"], numpy_run["rss_mb"]
    assert 0 < step["p50"] <= step["p95"] <= step["p99"]
    assert numpy_run["engine_ms"]["p50"] <= step["p50"]
    assert 0 < numpy_run["front_end_share"] < 1
    assert 5 < rss["import"] <= rss["load"] <= rss["peak"] < 64
    # the first answer counts from the start of the process, imports and load within
    assert numpy_run["first_answer_ms"] > numpy_run["import_ms"] + numpy_run["load_ms"]
    assert numpy_run["duty_cycle"] == pytest.approx(numpy_run["cpu_ms"] / 250, rel=0.02, abs=1e-5)


def test_at_the_pace_of_speech_a_round_takes_the_audios_time(numpy_bundle: Bundle, monkeypatch) -> None:
    slept = []
    monkeypatch.setattr(bench_child.time, "sleep", slept.append)
    result = bench_child.measure(str(numpy_bundle.path), "numpy", "fp32", 3, True, 0.0)
    assert len(result["step_ms"]) == 3
    assert len(slept) == 3 + bench_child.WARM_UP
    assert sum(slept) > 0.25 * len(slept) * 0.5  # sleeping does not pass time here, so the waits only grow


def test_at_the_pace_of_speech_there_is_time_for_the_audio(numpy_bundle: Bundle, monkeypatch) -> None:
    limits = []

    def child(module, arguments, *, limit_s):
        limits.append(limit_s)
        return {"error": "none", "missing": False}

    monkeypatch.setattr(bench, "run_child", child)
    for realtime in (False, True):
        measure(numpy_bundle, [("numpy", "fp32")], rounds=1, steps=4000, realtime=realtime)
    assert limits[0] == 600 and limits[1] > 600 + 4000 * numpy_bundle.step_s


def test_every_precision_of_every_engine_is_a_row(int8_bundle: Bundle) -> None:
    pairs = candidates(int8_bundle)
    assert pairs == [("litert", "int8"), ("onnx", "int8"), ("numpy", "fp32"), ("numpy", "int8")]
    assert candidates(int8_bundle, precisions=["int8"]) == [pair for pair in pairs if pair[1] == "int8"]
    whole, rounded = measure(int8_bundle, [pair for pair in pairs if pair[0] == "numpy"], rounds=1, steps=2)
    assert whole["ok"] and rounded["ok"]
    assert rounded["file_kb"] < whole["file_kb"] / 3


def test_what_the_bundle_does_not_hold_is_listed_with_the_reason(numpy_bundle: Bundle) -> None:
    pairs = candidates(numpy_bundle)
    assert set(pairs) == {("numpy", "fp32"), ("litert", "fp32"), ("onnx", "fp32")}
    runs = measure(numpy_bundle, pairs, rounds=1, steps=1)
    reasons = {run["engine"]: (run["ok"], run["missing"], run["reason"]) for run in runs}
    assert reasons["numpy"] == (True, False, None)
    assert reasons["onnx"] == (False, True, "the bundle holds no file for onnx fp32")


def test_pairs_can_be_chosen(full_bundle: Bundle) -> None:
    assert candidates(full_bundle, ["onnx"]) == [("onnx", "fp32")]
    assert candidates(full_bundle, (), ["int8"]) == []


def test_every_engine_is_measured(full_bundle: Bundle) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("ai_edge_litert")
    runs = measure(full_bundle, candidates(full_bundle), rounds=1, steps=3)
    assert {run["engine"]: run["ok"] for run in runs} == {"litert": True, "onnx": True, "numpy": True}
    # the NumPy engine loads no runtime, and is the smallest
    peaks = {run["engine"]: run["rss_mb"]["peak"] for run in runs}
    assert peaks["numpy"] == min(peaks.values())


def test_a_process_that_dies_is_a_failed_run(numpy_bundle: Bundle, monkeypatch, tmp_path) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\necho 'Illegal instruction' >&2\nkill -ILL $$\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    [run] = measure(numpy_bundle, [("numpy", "fp32")], rounds=2, steps=1)
    assert not run["ok"]
    assert not run["missing"]
    assert run["reason"] == "the process ended with signal 4: Illegal instruction"


def test_a_missing_package_is_said_by_the_child(numpy_bundle: Bundle, monkeypatch, capsys) -> None:
    from edge_ser.errors import MissingExtraError

    def missing(*args: object) -> None:
        raise MissingExtraError("onnxruntime is not installed")

    monkeypatch.setattr(bench_child, "measure", missing)
    assert bench_child.main(["folder", "onnx", "fp32", "1", "0", "0.0"]) == 0
    assert json.loads(capsys.readouterr().out) == {"error": "onnxruntime is not installed", "missing": True}


@pytest.mark.parametrize(("rounds", "steps"), [(0, 1), (1, 0)])
def test_nothing_to_measure_is_refused(numpy_bundle: Bundle, rounds: int, steps: int) -> None:
    with pytest.raises(EdgeSerError, match="at least one"):
        measure(numpy_bundle, [("numpy", "fp32")], rounds=rounds, steps=steps)


QUICK = ["--engine", "numpy", "--rounds", "1", "--steps", "5"]


def test_the_command_in_json(numpy_bundle: Bundle, capsys) -> None:
    assert main(["bench", str(numpy_bundle.path), *QUICK, "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["machine"]["cores"] >= 1
    assert [run["engine"] for run in document["runs"]] == ["numpy"]


def test_the_command_as_a_table(numpy_bundle: Bundle, capsys) -> None:
    assert main(["bench", str(numpy_bundle.path), "--rounds", "1", "--steps", "5"]) == 0
    out = capsys.readouterr().out
    assert "| numpy fp32 |" in out
    assert "onnx fp32 was not measured: the bundle holds no file for onnx fp32" in out
    assert "multiply-adds for a second of audio" in out


def test_a_budget_that_is_passed_and_one_that_fails(numpy_bundle: Bundle, capsys, tmp_path) -> None:
    budget = tmp_path / "board.toml"
    budget.write_text("rss_mb = 64\nfile_kb = 1000\nduty_cycle = 0.9\np99_ms = 10000\n")
    command = ["bench", str(numpy_bundle.path), *QUICK, "--budget", str(budget), "-o", "json"]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["over"] == []
    budget.write_text("rss_mb = 64\nfile_kb = 1\n")
    assert main(command) == 1
    [run] = json.loads(capsys.readouterr().out)["runs"]
    assert not run["ok"]
    assert run["over"] == [f"file_kb {run['file_kb']:g} > 1"]


def test_a_budget_speaks_in_the_table_too(numpy_bundle: Bundle, capsys, tmp_path) -> None:
    (tmp_path / "board.toml").write_text("file_kb = 1\n")
    assert main(["bench", str(numpy_bundle.path), *QUICK, "--budget", str(tmp_path / "board.toml")]) == 1
    assert "numpy fp32 is over its budget: file_kb" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--engine", "onnx"], "nothing of tiny can be measured here (onnx fp32: the bundle holds no file"),
        (["--engine", "onnx", "--engine", "numpy"], "the bundle holds no file for onnx fp32"),
        (["--precision", "int8"], "tiny has nothing in that precision to measure; it has numpy fp32"),
        (["--rounds", "0"], "at least one round"),
        (["--budget", "missing.toml"], "cannot read missing.toml"),
        (["--submit-file", "/dev/null/x.json"], "/dev/null is no folder"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(
    numpy_bundle: Bundle, argv: list[str], says: str, capsys
) -> None:
    quick = [] if "--rounds" in argv else ["--rounds", "1", "--steps", "1"]
    assert main(["bench", str(numpy_bundle.path), *quick, *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("edge-ser: ")
    assert says in err


def test_the_machine_is_described() -> None:
    machine = describe_machine()
    assert machine["python"] == ".".join(map(str, sys.version_info[:3]))
    assert machine["cores"] >= 1
    line = machine_line(machine)
    assert "\n" not in line
    assert f"Python {machine['python']}" in line


def test_a_machine_that_tells_little_is_still_one_line() -> None:
    machine = dict.fromkeys(describe_machine()) | {
        "arch": "aarch64", "cores": 1, "os": "Linux", "python": "3.11", "numpy": "2", "runtimes": {}
    }  # fmt: skip
    assert machine_line(machine) == "aarch64, 1 core; Linux; Python 3.11, NumPy 2"


# --- reports


def test_memory_by_part_is_the_whole(numpy_run: dict) -> None:
    parts = numpy_run["memory_by_part"]
    assert list(parts) == ["interpreter", "numpy", "ours", "runtime", "model", "running"]
    assert sum(parts.values()) == pytest.approx(numpy_run["rss_mb"]["peak"], abs=1.5)
    assert parts["interpreter"] > 3 and parts["numpy"] > 3
    assert numpy_run["package_w"] is None or 0 < numpy_run["package_w"] < 1000


def test_a_file_to_share_and_two_compared(numpy_bundle: Bundle, capsys, tmp_path) -> None:
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    for path in (one, two):
        assert main(["bench", str(numpy_bundle.path), *QUICK, "--submit-file", str(path)]) == 0
    report = json.loads(one.read_text())
    assert report["format"] == "edge-ser-bench" and "kernel" not in report["machine"]["os"]
    report["runs"][0]["rss_mb"]["peak"] *= 2
    two.write_text(json.dumps(report))
    capsys.readouterr()
    assert main(["bench", "--compare", str(one), str(two), "-o", "json"]) == 0
    rows = {row["figure"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows["MB"]["ratio"] == 2 and rows["kB"]["ratio"] == 1
    assert main(["bench", "--compare", str(one), str(tmp_path / "absent")]) == 2
    for option in (["--budget", "pi.toml"], ["--submit-file", "x"], ["--engine", "numpy"], ["--realtime"]):
        assert main(["bench", "--compare", str(one), str(two), *option]) == 2  # else CI takes it for kept
        out, err = capsys.readouterr()
        assert out == "" and f"--compare measures nothing, and {option[0]} is of a measurement" in err
    assert main(["bench", str(numpy_bundle.path), "--compare", str(one), str(two)]) == 2
    two.write_text('{"runs": []}')
    assert main(["bench", "--compare", str(one), str(two)]) == 2
    two.write_text('{"runs": 3}')
    assert main(["bench", "--compare", str(one), str(two)]) == 2


@pytest.mark.parametrize(
    ("word", "said"),
    [("0", []), ("50005", ["under-voltage", "throttled"]), ("0x20000", ["was clock capped"]), (None, None)],
)
def test_what_holds_a_raspberry_pi_back(word, said, monkeypatch) -> None:
    monkeypatch.setattr(machine, "_text", lambda path: word)
    assert machine.throttled() == said


def test_energy_is_what_the_counters_say(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(energy, "_ZONES", tmp_path)
    assert energy.energy_uj() is None
    for number, value in (("0", "100\n"), ("1", "23\n")):
        (tmp_path / f"intel-rapl:{number}").mkdir()
        (tmp_path / f"intel-rapl:{number}" / "energy_uj").write_text(value)
    assert energy.energy_uj() == 123
    (tmp_path / "intel-rapl:0:0").mkdir()  # a package's part, which the package counts too
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("40\n")
    (tmp_path / "intel-rapl:2" / "energy_uj").mkdir(parents=True)  # one that cannot be read
    assert energy.energy_uj() == 123


#: The form of ``vcgencmd pmic_read_adc`` on a Raspberry Pi 5, shortened: rails with amperes and volts, the supply and
#: the clock's battery with volts alone.
PMIC = """\
  3V7_WL_SW_A current(0)=0.09759300A
    3V3_SYS_A current(1)=0.06831510A
   VDD_CORE_A current(7)=0.78900000A
  3V7_WL_SW_V volt(8)=3.69684400V
    3V3_SYS_V volt(9)=3.31489600V
   VDD_CORE_V volt(15)=0.72022900V
      EXT5V_V volt(24)=5.14882000V
       BATT_V volt(25)=0.00000000V
"""


def test_a_raspberry_pi_5_tells_its_power() -> None:
    watts = 0.097593 * 3.696844 + 0.0683151 * 3.314896 + 0.789 * 0.720229
    assert energy.pmic_watts(PMIC) == pytest.approx(watts)
    assert energy.pmic_watts("") is None
    assert energy.pmic_watts('error=1 error_msg="Command not registered"') is None
    assert energy.pmic_watts("  3V7_WL_SW_A current(0)=0.09759300A") is None
    assert energy.pmic_watts("      EXT5V_V volt(24)=5.14882000V") is None


def test_power_is_read_while_the_work_goes_on(tmp_path, monkeypatch) -> None:
    worked = []
    assert energy.pmic_w(lambda: worked.append(1), command=str(tmp_path / "absent")) is None
    assert worked == []
    program = tmp_path / "vcgencmd"
    program.write_text(f"#!/bin/sh\ncat <<EOF\n{PMIC}EOF\n")
    program.chmod(0o755)
    watts = energy.pmic_w(lambda: worked.append(1), readings=2, command=str(program))
    assert watts == pytest.approx(energy.pmic_watts(PMIC))
    assert len(worked) >= 2
    program.write_text("#!/bin/sh\necho 'error=1'\n")
    assert energy.pmic_w(lambda: None, command=str(program)) is None


def test_power_is_the_mean_of_as_many_readings_as_are_asked_for(tmp_path) -> None:
    """A firmware that takes a while says 1, 2 and 3 W in turn."""
    program, count, worked = tmp_path / "vcgencmd", tmp_path / "count", []
    program.write_text(
        f"#!/bin/sh\necho x >> '{count}'\nsleep 0.03\n"
        f"echo \"VDD_CORE_A current(7)=$(wc -l < '{count}' | tr -d ' ')A VDD_CORE_V volt(15)=1.0V\"\n"
    )
    program.chmod(0o755)
    assert energy.pmic_w(lambda: worked.append(1), readings=3, command=str(program)) == 2.0
    assert len(worked) > 10  # it worked on while the firmware answered


# --- what the command asks for


def test_the_options_are_those_of_the_measurement(numpy_bundle: Bundle, monkeypatch) -> None:
    asked = []

    def measure(bundle, pairs, **how):
        asked.append((list(pairs), {name: how[name] for name in ("rounds", "steps", "realtime")}))
        return []

    monkeypatch.setattr(command, "measure", measure)
    words = ["bench", str(numpy_bundle.path), "--engine", "numpy", "--rounds", "7", "--steps", "9"]
    assert main(words) == main([*words, "--realtime"]) == 2  # as nothing was measured
    how = {"rounds": 7, "steps": 9}
    pairs = [("numpy", "fp32")]
    assert asked == [(pairs, how | {"realtime": False}), (pairs, how | {"realtime": True})]


def test_peers_take_a_quarter_of_the_steps_and_one_at_least(numpy_bundle: Bundle, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(command, "measure", lambda *_, **how: asked.append(how["steps"]) or [])
    monkeypatch.setattr(command, "measure_runtimes", lambda *_, **__: [])
    monkeypatch.setattr(command, "_peer", lambda *_: contextlib.nullcontext(numpy_bundle))
    for steps in (2, 40):
        how = argparse.Namespace(peers="", rounds=1, steps=steps, realtime=False)
        assert command._measure_peers(how, {}) == []
    assert asked == [1] * 3 + [10] * 3


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("print('{}'); sys.exit(3)", "the process ended with status 3: no message"),
        ("sys.exit('went wrong')", "the process ended with status 1: went wrong"),
        ("pass", "the process ended with status 0: no message"),
        (
            "print('before', flush=True); os.kill(os.getpid(), 9)",
            "the process ended with signal 9: no message",
        ),
    ],
)
def test_a_process_that_gives_no_result_says_how_it_ended(program, error, tmp_path, monkeypatch):
    (tmp_path / "gives_no_result.py").write_text(f"import os, sys\n{program}\n")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert bench.run_child("gives_no_result", []) == {"error": error, "missing": False}
