"""Study M, its first half: sources told apart, sinusoids and two speakers."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_ser.audio import write_wav
from edge_ser.corpora import Clip, LeftOut
from edge_ser.corpora.mixtures import (
    RATE,
    mix_speech,
    pair_speakers,
    sinusoid_pairs,
    trim_silence,
    write_sinusoids,
)
from edge_ser.errors import EdgeSerError, require
from edge_ser.evaluation.class_answers import Figure
from edge_ser.evaluation.metrics import bootstrap_ci
from edge_ser.evaluation.separation import si_snr, si_snr_of_sources
from edge_ser.studies.base import Line, Section
from edge_ser.studies.run import Part, StudyRun, Unit

if TYPE_CHECKING:
    import torch

#: Way to train on sinusoids -> its title.
WAYS = {
    "published": "sinusoids: LSTM of 8 units, L1, fixed order, 10 epochs at 3e-4",
    "order": "sinusoids: the same, in the order that costs least",
    "ours": "sinusoids: 8 units, SI-SNR in the order that costs least, new pairs in each epoch",
}
METRIC = "SI-SNR gain, dB"
_SECONDS = 2.0


def sinusoid_units(run: StudyRun) -> list[Unit]:
    """A part for each way and seed."""
    epochs = {way: run.pick(full=10, quick=10, miniature=1) for way in WAYS}
    epochs["ours"] = run.pick(full=300, quick=80, miniature=2)
    size = {
        "pairs": run.pick(full=100, quick=100, miniature=10),
        "tested": run.pick(full=200, quick=100, miniature=4),
    }
    return [Unit(f"sinusoids {way} seed {seed}", separate_sinusoids,
                 {"way": way, "seed": seed, "epochs": epochs[way], **size})
            for way in WAYS for seed in run.seeds]  # fmt: skip


def speech_units(run: StudyRun) -> list[Unit]:
    """A part for each protocol and seed."""
    recipe = {
        "seconds": run.pick(full=_SECONDS, quick=_SECONDS, miniature=0.5),
        "steps": run.pick(full=200, quick=80, miniature=2),
        "units": run.pick(full=256, quick=96, miniature=8),
        "layers": run.pick(full=2, quick=1, miniature=1),
        "epochs": run.pick(full=40, quick=6, miniature=1),
        "lr": run.pick(full=1e-3, quick=4e-3, miniature=4e-3),
        "tested": run.pick(full=300, quick=100, miniature=3),
    }
    return [Unit(f"two speakers {protocol} seed {seed}", separate_speech,
                 {"protocol": protocol, "seed": seed, "recipe": recipe})
            for protocol in run.protocols for seed in run.seeds]  # fmt: skip


def separate_sinusoids(run: StudyRun, *, way: str, seed: int, pairs: int, tested: int, epochs: int) -> Part:
    """Train on 80 of 100 pairs, or as many new ones in each epoch; test on the other 20, and on 100 more."""
    import torch

    from edge_ser.models.separator import LstmSeparator, SeparatorConfig
    from edge_ser.training.separation import least_permutation, si_snr_loss, spectral_l1
    from edge_ser.training.steps import Pace, fit_steps

    whole = sinusoid_pairs(pairs, seed=seed)
    write_sinusoids(run.folder / "sinusoids" / f"seed{seed}", whole)
    kept = pairs - pairs // 5
    train, test = torch.from_numpy(whole.waves[:kept]), whole.waves[kept:]
    torch.manual_seed(seed)
    model = LstmSeparator(SeparatorConfig())
    masking = model.config.masking

    def loss(net: LstmSeparator, sources: torch.Tensor) -> dict[str, torch.Tensor]:
        spectra, _ = net(sources.sum(1))
        if way == "ours":
            estimates = masking.invert(spectra, sources.shape[2])
            costs = si_snr_loss(estimates[:, None], sources[:, :, None])
        else:
            truth = masking.transform(sources.flatten(0, 1)).reshape(spectra.shape)
            costs = spectral_l1(spectra[:, None], truth[:, :, None])
        least = costs.diagonal(dim1=1, dim2=2).mean(1) if way == "published" else least_permutation(costs)[0]
        return {"separation": least.mean()}

    batch = 8 if way == "ours" else 1

    def batches(epoch: int, rng: np.random.Generator) -> Any:
        new = torch.from_numpy(sinusoid_pairs(kept, seed=10_000 + 1000 * seed + epoch).waves)
        source = new if way == "ours" else train
        return source[torch.from_numpy(rng.permutation(kept))].split(batch)

    steps = -(-kept // batch)
    pace = Pace(epochs, steps, lr=1e-2) if way == "ours" else Pace(epochs, steps, lr=3e-4, one_cycle=False)
    key = f"sinusoids {way} {seed}"
    with run.bar(key, pace.epochs, "epoch") as bar:
        course = fit_steps(model, batches, loss, pace, seed=seed, identity=key,
                            folder=run.workplace(key), report=bar.epoch)  # fmt: skip
    more = sinusoid_pairs(tested, seed=777_777 + seed).waves
    answers = {name: _tested(model, waves) for name, waves in (("as-published", test), ("honest", more))}
    with torch.no_grad():
        estimates = model.separate(torch.from_numpy(test[:1].sum(1))).numpy()[0]
    _, order = si_snr_of_sources(estimates, test[0])
    estimates = estimates[list(order)]
    _keep(run, key, model, {"mixture": test[0].sum(0), **_numbered("estimate", estimates)})
    return {
        **{f"{name} {what}": values for name, one in answers.items() for what, values in one.items()},
        "records": course.records,
        "course": np.array(course.batches),
        "heard": np.concatenate([test[0], estimates]),
    }


def _tested(model: Any, waves: np.ndarray) -> dict[str, np.ndarray]:
    """Of each source of each mixture: SI-SNR of the mixture, of the estimate, and under ideal masks."""
    import torch

    rows: dict[str, list[float]] = {"mixture": [], "estimate": [], "ideal": []}
    with torch.no_grad():
        for sources in waves:
            truth = torch.from_numpy(sources)[None]
            estimates = model.separate(truth.sum(1)).numpy()[0]
            ideal = model.config.masking.ideal(truth).numpy()[0]
            rows["mixture"] += [si_snr(sources.sum(0), source) for source in sources]
            rows["estimate"] += si_snr_of_sources(estimates, sources)[0].tolist()
            rows["ideal"] += si_snr_of_sources(ideal, sources)[0].tolist()
    # a perfect or silent estimate has no finite figure; a hundred decibels either way says as much
    return {name: np.clip(values, -100, 100) for name, values in rows.items()}


def separate_speech(run: StudyRun, *, protocol: str, seed: int, recipe: Mapping[str, Any]) -> Part:
    """Train on mixtures of two speakers of RAVDESS and EmoDB, test on mixtures of others (or of the same)."""
    import torch

    from edge_ser.models.separator import LstmSeparator, Masking, SeparatorConfig
    from edge_ser.training.separation import least_permutation, si_snr_loss
    from edge_ser.training.steps import Pace, fit_steps

    clips, waves, _ = speech(run)
    tested = tested_clips(clips, protocol, seed)
    rest, places = np.flatnonzero(~tested), np.flatnonzero(tested)
    names = [clip.speaker for clip in clips]
    samples = round(recipe["seconds"] * RATE)
    batch, steps = 8, recipe["steps"]

    def mixtures(chosen: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
        pairs = pair_speakers([names[i] for i in chosen], count, int(rng.integers(2**31)))
        return np.stack([mix_speech(waves[chosen[i]], waves[chosen[k]], samples, rng) for i, k in pairs])

    def batches(_: int, rng: np.random.Generator) -> Any:
        return (torch.from_numpy(mixtures(rest, batch, rng)) for _step in range(steps))

    def loss(net: LstmSeparator, sources: torch.Tensor) -> dict[str, torch.Tensor]:
        estimates = net.separate(sources.sum(1))
        return {
            "separation": least_permutation(si_snr_loss(estimates[:, None], sources[:, :, None]))[0].mean()
        }

    torch.manual_seed(seed)
    shape = SeparatorConfig(
        units=recipe["units"],
        layers=recipe["layers"],
        both_ways=True,
        masking=Masking(256, 128),
    )
    model = LstmSeparator(shape)
    pace = Pace(recipe["epochs"], steps, lr=recipe["lr"])
    key = f"two speakers {protocol} {seed}"
    with run.bar(key, pace.epochs, "epoch") as bar:
        course = fit_steps(model, batches, loss, pace, seed=seed, identity=key,
                            folder=run.workplace(key), report=bar.epoch)  # fmt: skip
    rng = np.random.default_rng(1)
    chosen = pair_speakers([names[i] for i in places], recipe["tested"], 1)
    truth = np.stack([mix_speech(waves[places[i]], waves[places[k]], samples, rng) for i, k in chosen])
    with torch.no_grad():
        estimates = model.separate(torch.from_numpy(truth[:1].sum(1))).numpy()[0]
    estimates = estimates[list(si_snr_of_sources(estimates, truth[0])[1])]
    _keep(
        run,
        key,
        model,
        {"mixture": truth[0].sum(0), **_numbered("source", truth[0]), **_numbered("estimate", estimates)},
    )
    return {
        **_tested(model, truth),
        "speakers": [names[places[i]] for pair in chosen for i in pair],
        "sexes": [str(clips[places[i]].sex) for pair in chosen for i in pair],
        "records": course.records,
        "heard": np.concatenate([truth[0], estimates]),
    }


def speech(run: StudyRun) -> tuple[list[Clip], list[np.ndarray], list[LeftOut]]:
    """Clips of both corpora, their sound at `RATE` without silent ends, and what is left out."""
    corpora = [run.corpus(name) for name in ("ravdess", "emodb")]
    clips = [clip for corpus in corpora for clip in corpus.clips if clip.fold is not None]
    require("soxr", extra="audio", purpose=f"bringing speech to {RATE} Hz")
    made = run.features([clip.path for clip in clips], _at_rate, {"what": "speech", "rate": RATE}, "speech")
    waves = [values.astype(np.float32) / 32768 for values in made.values]
    left_out = [one for corpus in corpora for one in corpus.left_out] + made.left_out
    loud = [i for i, wave in enumerate(waves) if np.abs(wave).max(initial=0) > 1e-3]
    silent = sorted(set(range(len(waves))) - set(loud))
    left_out += [LeftOut(str(clips[made.kept[i]].path), "silent: nothing to mix") for i in silent]
    return [clips[made.kept[i]] for i in loud], [waves[i] for i in loud], left_out


def _at_rate(wave: np.ndarray) -> np.ndarray:
    import soxr

    slow = trim_silence(soxr.resample(wave, 16000, RATE).astype(np.float32), RATE)
    return np.clip(np.rint(slow * 32768), -32768, 32767).astype(np.int16)


def tested_clips(clips: Sequence[Clip], protocol: str, seed: int, fold: int = 0) -> np.ndarray:
    """(n,) bool: a fold of speakers (of a corpus with more folds, every fifth), or a random fifth of the clips."""
    if protocol == "honest":
        tested = np.array([clip.fold is not None and clip.fold % 5 == fold for clip in clips])
        both = {c.speaker for c, t in zip(clips, tested, strict=True) if t} & {
            c.speaker for c, t in zip(clips, tested, strict=True) if not t
        }
        if both:
            raise EdgeSerError(f"{min(both)} would stand on both sides; give each speaker one fold")
    else:
        tested = np.zeros(len(clips), bool)
        tested[np.random.default_rng([seed, fold]).permutation(len(clips))[: len(clips) // 5]] = True
    if tested.all() or not tested.any():
        raise EdgeSerError("all clips are of one side: train and test need speakers of several folds")
    return tested


def _keep(run: StudyRun, key: str, model: Any, waves: dict[str, np.ndarray]) -> None:
    """The network and what it makes of one mixture, as files for people."""
    from edge_ser.files import write_atomic
    from edge_ser.tensors import pack_tensors

    home = run.folder / "models" / key.replace(" ", "-")
    home.mkdir(parents=True, exist_ok=True)
    weights = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    write_atomic(home / "weights.safetensors", pack_tensors(weights))
    write_atomic(home / "shape.json", (json.dumps(model.config.to_dict()) + "\n").encode())
    for name, wave in waves.items():
        write_wav(home / f"{name}.wav", wave, RATE)


def _numbered(name: str, waves: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name} {k}": wave for k, wave in enumerate(waves, 1)}


@dataclasses.dataclass(frozen=True)
class Gains:
    """SI-SNR of sources as they stand in the mixture, as estimated, and under ideal masks, over all seeds."""

    mixture: np.ndarray
    estimate: np.ndarray
    ideal: np.ndarray
    by_seed: tuple[float, ...]

    @classmethod
    def of(cls, parts: Sequence[Part], prefix: str = "") -> Gains:
        """From parts of several seeds."""
        rows = [
            [np.asarray(part[prefix + name]) for name in ("mixture", "estimate", "ideal")] for part in parts
        ]
        means = tuple(float((estimate - mixture).mean()) for mixture, estimate, _ in rows)
        mixture, estimate, ideal = (np.concatenate(column) for column in zip(*rows, strict=True))
        return cls(mixture, estimate, ideal, means)

    def figure(self, groups: Sequence[str] | None) -> Figure:
        """The mean gain of a source."""
        gains = self.estimate - self.mixture
        ends = None if groups is None else bootstrap_ci(functools.partial(_mean_of, gains), groups)
        spread = float(np.std(self.by_seed, ddof=1)) if len(self.by_seed) > 1 else None
        return Figure(float(gains.mean()), ends, spread, len(gains))

    def row(self, what: str) -> dict[str, Any]:
        """For a table."""
        return {
            "": what,
            "the mixture itself, dB": float(self.mixture.mean()),
            "estimate, dB": float(self.estimate.mean()),
            "gain, dB": float((self.estimate - self.mixture).mean()),
            "least gain, dB": float((self.estimate - self.mixture).min()),
            "ideal masks' gain, dB": float((self.ideal - self.mixture).mean()),
            "sources": len(self.mixture),
        }


def _mean_of(values: np.ndarray, places: np.ndarray) -> float:
    return float(values[places].mean())


def sinusoid_lines(run: StudyRun, parts: dict[str, list[Part]]) -> tuple[list[Line], list[Section]]:
    """Rows of the table and a section with pictures, from the parts of each way."""
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.plots import plot_curves
    from edge_ser.evaluation.sources import plot_sources

    lines, rows, pictures = [], [], {}
    for way, title in WAYS.items():
        figures = {}
        for protocol in run.protocols:
            gains = Gains.of(parts[way], f"{protocol} ")
            pairs = [f"pair {i // 2}" for i in range(len(gains.mixture))]
            figures[protocol] = gains.figure(pairs if protocol == "honest" else None)
            rows.append(gains.row(f"{title.partition(': ')[2]}, {protocol}"))
        lines.append(
            Line(f"sinusoids-{way}", title, None, figures.get("as-published"), figures.get("honest"), METRIC)
        )
        last = parts[way][0]
        names = ("source 1", "source 2", "estimate 1", "estimate 2")
        heard = dict(zip(names, last["heard"], strict=True))
        shown = {"mixture": heard["source 1"] + heard["source 2"], **heard}
        pictures[f"a pair, {title}"] = as_svg(plot_sources, shown, RATE, title=title.partition(": ")[2])
        if way in ("published", "ours"):
            pictures[f"epochs, {title}"] = as_svg(plot_curves, last["records"], title="epochs")
            course = [{"epoch": i, "loss": float(v)} for i, v in enumerate(last["course"], 1)]
            pictures[f"batches, {title}"] = as_svg(
                plot_curves, course[:: max(1, len(course) // 400)], title="batches"
            )
    text = (
        "The published split of the pairs, and 100 more pairs for the honest figure: both are random draws, so this "
        "split leaks nothing. Sources come in no order that a network could know, so an L1 loss in a fixed order "
        "learns the mean of both."
    )
    return lines, [Section("Sinusoids", text, pictures, rows)]


def speech_lines(run: StudyRun, parts: dict[str, list[Part]]) -> tuple[Line, Section]:
    """The row of two speakers and its section."""
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.plots import plot_curves
    from edge_ser.evaluation.sources import plot_sources

    figures, rows, pictures = {}, [], {}
    for protocol in run.protocols:
        gains = Gains.of(parts[protocol])
        speakers = [name for part in parts[protocol] for name in part["speakers"]]
        figures[protocol] = gains.figure(speakers if protocol == "honest" else None)
        rows.append(gains.row(protocol))
        sexes = np.array([sex for part in parts[protocol] for sex in part["sexes"]]).reshape(-1, 2)
        same = np.repeat(sexes[:, 0] == sexes[:, 1], 2)
        for what, chosen in (("of one sex", same), ("of both sexes", ~same)):
            if chosen.any():
                few = Gains(gains.mixture[chosen], gains.estimate[chosen], gains.ideal[chosen], (0.0,))
                rows.append(few.row(f"{protocol}, two speakers {what}"))
        last = parts[protocol][0]
        names = ("source 1", "source 2", "estimate 1", "estimate 2")
        heard = dict(zip(names, last["heard"], strict=True))
        shown = {"mixture": heard["source 1"] + heard["source 2"], **heard}
        pictures[f"a mixture, {protocol}"] = as_svg(plot_sources, shown, RATE, n_fft=256, title=protocol)
        pictures[f"epochs, {protocol}"] = as_svg(plot_curves, last["records"], title=f"epochs, {protocol}")
    title = "two speakers of RAVDESS and EmoDB: LSTM both ways, SI-SNR in the order that costs least"
    line = Line("two-speakers", title, None, figures.get("as-published"), figures.get("honest"), METRIC)
    text = "Mixtures of two seconds at 8 kHz, up to 2.5 dB apart; gain over what the mixture itself scores."
    return line, Section("Two speakers", text, pictures, rows)
