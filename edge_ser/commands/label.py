"""``edge-ser label``: a teacher hears recordings, and what it says is kept for students."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ser.errors import EdgeSerError, require
from edge_ser.progress import progress_bar
from edge_ser.teachers.registry import TEACHERS
from firmware_py.stop import Stop, stop_on_signals

if TYPE_CHECKING:
    from edge_ser.perturb import Perturb
    from edge_ser.teachers.label import Labelled, View

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.description = (
        "Have a teacher hear recordings and keep its answers (arousal, dominance, valence, and whatever else it gives) "
        "under their content, so that no sound is heard twice. Stop it at any time; the same command goes on where it "
        "was. A recording that cannot be done is reported, the others are still done, and the exit status is 2."
    )
    kinds = "\n".join(f"  {name:<12} {kind.help}" for name, kind in TEACHERS.items())
    parser.epilog = f"""\
kinds of teachers:
{kinds}

examples:
  edge-ser label ravdess --kind dawn --teacher models/dawn --out targets/dawn
  edge-ser label ravdess emodb esc10 --kind mean --out targets/mean     the two from the hub
  edge-ser label ravdess --kind mean --views 8 --recipe student.toml --out targets/mean
  torchrun --nproc-per-node 4 -m edge_ser label ravdess --kind mean --out targets/mean
"""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="CORPUS",
        help="a corpus or a collection of sounds by name, a folder, or a CSV table",
    )
    parser.add_argument("--kind", required=True, choices=tuple(TEACHERS), help="what the teacher is")
    parser.add_argument(
        "--teacher",
        action="append",
        default=[],
        metavar="SOURCE",
        help="its folder, file or name on the hub; several times for a mean",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the answers")
    parser.add_argument(
        "--views",
        type=int,
        default=1,
        metavar="K",
        help="sounds of each recording: itself, and K - 1 perturbed (default 1)",
    )
    parser.add_argument(
        "--recipe", type=Path, metavar="TOML", help="the student's: its [perturb] says how they are perturbed"
    )


def run(args: argparse.Namespace) -> int:
    """Run the command; 2 when a recording could not be done."""
    require("torch", extra="teach", purpose="teachers")
    from edge_ser.teachers.label import Labelled, Team, label
    from edge_ser.teachers.registry import load_teacher
    from edge_ser.teachers.targets import TargetStore

    view = _view(args.views, args.recipe, args.sources)
    paths = [path for source in args.sources for path in _recordings(source)]
    with Team.from_environment() as team:
        teacher = load_teacher(args.kind, args.teacher)
        store = TargetStore(args.out, teacher.identity, teacher.labels, teacher.hint_size)
        try:
            with stop_on_signals() as stop:
                outcome = label(
                    teacher,
                    paths,
                    store,
                    view=view,
                    views=args.views,
                    rank=team.rank,
                    world_size=team.size,
                    progress=_progress(stop, shown=team.rank == 0),
                )
        except KeyboardInterrupt:
            print(
                f"stopped; what was heard is in {args.out}, the same command goes on from there",
                file=sys.stderr,
            )
            raise
        every = sum(team.gather(outcome), Labelled())
        if team.rank == 0:
            _report(every, len(paths), args.views, args.out)
    return 2 if every.failed else 0


def _recordings(source: str) -> list[Path]:
    """Sound files of a corpus or a collection of sounds."""
    from edge_ser.corpora import load_corpus, load_sounds, sound_names

    if source in sound_names():
        return [sound.path for sound in load_sounds(source).sounds]
    return [clip.path for clip in load_corpus(source).clips]


def _view(views: int, recipe: Path | None, sources: Sequence[str]) -> View | None:
    """What makes views beyond the recording itself, as a recipe's ``[perturb]`` says."""
    if views < 1:
        raise EdgeSerError(f"--views must be at least 1, the recording itself; not {views}")
    if views == 1:
        if recipe is not None:
            raise EdgeSerError(
                "--recipe says how recordings are perturbed; ask for --views 2 or more with it"
            )
        return None
    from edge_ser.perturb import Perturb, Perturber

    if recipe is None:
        return Perturber(Perturb()).view
    from edge_ser.corpora import sound_names

    spoken = [source for source in sources if source not in sound_names()]
    return Perturber.of(_perturb(recipe), spoken).view


def _perturb(recipe: Path) -> Perturb:
    from edge_ser.perturb import Perturb
    from edge_ser.training.tables import table_of

    try:
        table = tomllib.loads(recipe.read_text(encoding="utf-8")).get("perturb", {})
    except ValueError as error:
        raise EdgeSerError(f"{recipe} is not a recipe in TOML ({error}); mend it") from error
    if isinstance(table, str):
        table = table_of(recipe, "perturb", table)
    if not isinstance(table, dict):
        raise EdgeSerError(f"{recipe}: perturb is no table; write [perturb]")
    known = {field.name for field in dataclasses.fields(Perturb)}
    if strange := sorted(set(table) - known):
        raise EdgeSerError(
            f"{recipe}: [perturb] has no {', '.join(strange)}; it has {', '.join(sorted(known))}"
        )
    return Perturb(**table)


def _progress(stop: Stop, shown: bool) -> Callable[[Sequence[Any]], Iterable[Any]]:
    """A bar where a person looks on, and the end of the run where it is asked for."""

    def wrap(recordings: Sequence[Any]) -> Iterator[Any]:
        with progress_bar(None, len(recordings), "clip", quiet=None if shown else True) as bar:
            for recording in bar.wrap(recordings):
                if stop.requested:
                    raise KeyboardInterrupt
                yield recording

    return wrap


def _report(outcome: Labelled, recordings: int, views: int, out: Path) -> None:
    for name, why in outcome.failed:
        where = "" if name in why else f"{name}: "
        print(f"edge-ser: {where}{why}", file=sys.stderr)
    what = f"{recordings} recordings" + (f" in {views} views" if views > 1 else "")
    parts = [f"{what}: {outcome.done} labelled, {outcome.present} were there already"]
    if outcome.failed:
        parts.append(f"{len(outcome.failed)} could not be done")
    print("; ".join(parts) + f"\ntargets: {out}", file=sys.stderr)
