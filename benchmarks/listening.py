"""What the listening process costs: memory, start, duty cycle, latency, as a person runs it.

    python -m benchmarks.listening                results/listening.json; needs PulseAudio's virtual microphone
    python -m benchmarks.listening --starts       the starts anew; what the file holds of the runs stays

Each way is `edge-ser listen` in a process of its own that hears a virtual microphone at the pace of speech, its
standard output a pipe that somebody reads. Memory is the peak of the process and, with arecord, of its child; start is
from the start of the process to the first answer, heard from a pipe (a quarter of a second of it is the first step's
own audio; the virtual microphone itself takes a second and more to begin, which is its own matter); duty
cycle is processor time by audio time, children's counted; latency is from the arrival of a step's last sample to its
answer written. `--busy` keeps one other core busy meanwhile. Where cgroups allow it, one run is held to 64 MB.
"""

import argparse
import json
import multiprocessing
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.soak import sound
from benchmarks.virtual_microphone import VirtualMicrophone
from edge_ser.audio import SAMPLE_RATE, write_wav
from edge_ser.files import write_json
from firmware_py.machine import describe_machine

ROOT = Path(__file__).parents[1]
BARS = {"arecord numpy": 45, "mic litert": 60}


class Sound(VirtualMicrophone):
    """A virtual microphone, and the least of ALSA that hears it."""

    def __init__(self, folder):
        super().__init__(folder)
        # ALSA with the server alone. What Debian lists beside it, PortAudio asks in turn, and the a52 encoder of
        # libasound2-plugins brings libavcodec with all its friends: 15 MB that no microphone needs.
        (folder / "alsa.conf").write_text("pcm.default {type pulse}\nctl.default {type pulse}\n")
        self.lean = self.env | {"ALSA_CONFIG_PATH": str(folder / "alsa.conf")}

    def awake(self):
        """Let somebody hear the microphone with short blocks, so that it gives audio at once."""
        command = ["parec", "-d", "vmic", "--latency-msec=30"]
        listener = subprocess.Popen(command, env=self.env, stdout=subprocess.DEVNULL)
        time.sleep(3)  # the block of two seconds that it is in, and a little
        return listener


def listen(source, engine, seconds, env, *, doze=False, limit_mb=None):
    """One run; its figures."""
    command = [sys.executable, "-m", "edge_ser", "listen", source, "--engine", engine, "-o", "jsonl"]
    command += [
        "--rate",
        "16000",
    ]  # the server's; without its name in ALSA's list the hardware's would be taken
    command += ["--duration", str(seconds), *(["--doze"] if doze else [])]
    group = cgroup(limit_mb) if limit_mb else None

    def enter():
        if group is not None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env=env,
        preexec_fn=enter,  # noqa: PLW1509
    )
    first = process.stdout.readline()
    answered = time.monotonic() - began
    before = os.times()
    rest, words = process.communicate()
    after = os.times()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {words.decode().splitlines()[-1:]}")
    lines = [json.loads(line) for line in [first, *rest.splitlines()]]
    summary, answers = lines[-1], [line for line in lines if line["type"] == "prediction"]
    memory = summary["rss_mb"]
    return {
        "source": source, "engine": engine, "doze": doze, "limit_mb": limit_mb,
        "first_answer_s": round(answered, 3),
        "peak_mb": memory["peak"], "children_mb": memory.get("children", 0.0),
        "total_mb": round(memory["peak"] + memory.get("children", 0.0), 1),
        "duty_cycle": summary["duty_cycle"],
        # All that the process and its child took from start to end, start-up too.
        "whole_cpu_s": round(sum(after[2:4]) - sum(before[2:4]), 3),
        "latency_ms": summary["latency_ms"],
        "answers": len(answers), "silent": sum(line["state"] == "silence" for line in answers),
        "samples": summary["samples"],
    }  # fmt: skip


def start(engine):
    """From the start of the process to the first answer, with PCM that comes from the first moment on."""
    command = [sys.executable, "-m", "edge_ser", "listen", "-", "--engine", engine, "-o", "jsonl"]
    began = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0)
    sent, line = 0, b""
    while not line:
        # At the pace of speech: a microphone does not give a quarter of a second at once either.
        due = int((time.monotonic() - began) * SAMPLE_RATE)
        process.stdin.write(bytes(2 * (due - sent)))
        sent = due
        if select.select([process.stdout], [], [], 0.002)[0]:
            line = process.stdout.readline()
    took = time.monotonic() - began
    process.kill()
    process.wait()
    return round(took, 3)


def starts():
    """From the start of the process to the first answer, five times each; in seconds, sorted."""
    heard = {engine: sorted(start(engine) for _ in range(5)) for engine in ("numpy", "litert")}
    with tempfile.TemporaryDirectory() as name:
        server = Sound(Path(name))
        try:
            listener = server.awake()
            for source, engine in (("arecord", "numpy"), ("mic", "litert")):
                times = [listen(source, engine, 1, server.lean)["first_answer_s"] for _ in range(5)]
                heard[f"{source}, {engine}"] = sorted(times)
            listener.kill()
            listener.wait()
        finally:
            server.kill()
    return heard


def cgroup(limit_mb):
    """A memory cgroup (v2) with a limit; None where none can be made."""
    root = Path("/sys/fs/cgroup")
    folder = root / "edge-ser-bench"
    try:
        if (root / "cgroup.controllers").exists():
            if "memory" not in (root / "cgroup.subtree_control").read_text():
                (root / "cgroup.subtree_control").write_text("+memory")
            folder.mkdir(exist_ok=True)
            (folder / "memory.max").write_text(str(limit_mb << 20))
            if (folder / "memory.swap.max").exists():
                (folder / "memory.swap.max").write_text("0")
            return folder
        folder = root / "memory" / "edge-ser-bench"
        folder.mkdir(exist_ok=True)
        (folder / "memory.limit_in_bytes").write_text(str(limit_mb << 20))
        return folder
    except OSError as error:
        print(f"no memory limit can be set here ({error})", file=sys.stderr)
        return None


def burn():
    while True:
        np.linalg.svd(np.ones((60, 60)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "listening.json")
    parser.add_argument("--starts", action="store_true", help="only how long it takes to start")
    args = parser.parse_args()
    if missing := [
        name for name in ("pulseaudio", "paplay", "pactl", "arecord") if shutil.which(name) is None
    ]:
        raise SystemExit(
            f"{', '.join(missing)} not installed (apt install pulseaudio pulseaudio-utils alsa-utils)"
        )
    if args.starts:
        document = json.loads(args.out.read_text())
        document["start_s"] = starts()
        document["start_load"] = os.getloadavg()[0]
        print(json.dumps(document["start_s"]), file=sys.stderr)
        write_json(args.out, document)
        return 0
    runs = []
    burner = multiprocessing.Process(target=burn, daemon=True)
    if args.busy:
        burner.start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        speech = sound(SAMPLE_RATE)[: len(sound(SAMPLE_RATE)) // 2].astype(np.float32) / 32768
        write_wav(
            folder / "speech.wav", np.tile(speech, 1 + int(args.seconds * SAMPLE_RATE // len(speech) + 1))
        )
        server = Sound(folder)
        try:
            for source, engine, doze, limit, quiet, lean in (
                ("arecord", "numpy", False, None, False, False),
                ("arecord", "numpy", True, None, True, False),
                ("arecord", "numpy", True, 64, False, False),
                ("mic", "litert", False, None, False, True),
                ("mic", "litert", True, None, True, True),
                ("mic", "litert", False, None, False, False),
                ("mic", "numpy", False, None, False, True),
            ):
                player = None if quiet else server.playing(folder / "speech.wav")
                env = server.lean if lean else server.env
                run = {"alsa": "the server alone" if lean else "all that Debian lists"}
                run |= listen(source, engine, args.seconds, env, doze=doze, limit_mb=limit)
                if player is not None:
                    player.send_signal(signal.SIGTERM)
                    player.wait()
                runs.append({"sound": "silence" if quiet else "speech", **run})
                print(json.dumps(runs[-1]), file=sys.stderr)
        finally:
            server.kill()
    measured = starts()
    print(json.dumps(measured), file=sys.stderr)
    write_json(args.out, {"machine": describe_machine(), "busy": args.busy, "seconds": args.seconds,
                          "load": os.getloadavg()[0], "start_s": measured,
                          "start_load": os.getloadavg()[0], "runs": runs})  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
