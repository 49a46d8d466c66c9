"""Study M, its second half: letters and emotion from one encoder, alone and together; and CTC beside torch's."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_ser.corpora import Clip, LeftOut, load_sounds
from edge_ser.corpora.base import label_order
from edge_ser.corpora.mixtures import trim_silence
from edge_ser.corpora.transcripts import DIGITS, alphabet_of, transcript
from edge_ser.dsp import log_mel
from edge_ser.evaluation.class_answers import ClassAnswers, Figure
from edge_ser.evaluation.metrics import bootstrap_ci, uar
from edge_ser.evaluation.transcripts import character_error_rate, edit_distance, word_error_rate
from edge_ser.studies.base import Line, Section, line_of
from edge_ser.studies.recipes._mixtures_separation import tested_clips
from edge_ser.studies.run import Part, StudyRun, Unit

#: The letters' share of the loss: 0 and 1 are the tasks alone.
WEIGHTS = (0.0, 0.2, 0.5, 0.8, 1.0)
#: That of both tasks together, chosen on speakers of the training side (three of RAVDESS's, two of EmoDB's; 14 epochs):
#: with .8 character errors of .189 and a UAR of .501, with 1 falling to .5 over the first epochs .311 and .481.
TOGETHER = 0.8
ERRORS = "character error rate"


def folds_of(run: StudyRun) -> int:
    """Honest folds: more would take longer than three hours on two cores."""
    return run.pick(full=2, quick=1, miniature=1)


def word_units(run: StudyRun) -> dict[tuple[str, float], list[Unit]]:
    """Parts by protocol and weight: the weights are swept honestly, and as published there is one, `TOGETHER`."""
    made = {}
    for protocol in run.protocols:
        few = (0.0, TOGETHER, 1.0)
        if protocol == "honest":
            weights = run.pick(full=WEIGHTS, quick=(0.0, 0.5, TOGETHER, 1.0), miniature=few)
        else:
            weights = run.pick(full=few, quick=(TOGETHER,), miniature=(TOGETHER,))
        recipe = {
            "epochs": run.pick(full=20, quick=25, miniature=2),
            "channels": run.pick(full=128, quick=96, miniature=24),
            "batch": run.pick(full=32, quick=16, miniature=4),
            "lr": run.pick(full=5e-3, quick=1e-2, miniature=5e-3),
        }
        folds = range(folds_of(run) if protocol == "honest" else 1)
        for weight in weights:
            made[protocol, weight] = [
                Unit(
                    f"letters {weight:g} {protocol} fold {fold} seed {seed}",
                    learn_words,
                    {"protocol": protocol, "weight": weight, "fold": fold, "seed": seed, **recipe},
                )
                for fold in folds
                for seed in run.seeds
            ]
    return made


def spoken(
    run: StudyRun,
) -> tuple[list[Clip], list[str], list[np.ndarray], dict[str, tuple[str, ...]], list[LeftOut]]:
    """Clips with what is said in them, their log-mel, the emotions that each corpus knows, and what is left out."""
    names = run.pick(
        full=("ravdess", "emodb", "nemo"), quick=("ravdess", "emodb"), miniature=("ravdess", "emodb")
    )
    corpora = [run.corpus(name) for name in names]
    known = {corpus.name: corpus.labels for corpus in corpora}
    left_out = [one for corpus in corpora for one in corpus.left_out]
    clips, texts = [], []
    for clip in (clip for corpus in corpora for clip in corpus.clips if clip.fold is not None):
        text = transcript(clip)
        if text is None:
            left_out.append(LeftOut(str(clip.path), "its words are not known"))
        else:
            clips.append(clip)
            texts.append(text)
    if run.scale == "full":
        digits = load_sounds("fsdd", run.data)
        voices = sorted({str(sound.speaker) for sound in digits.sounds})
        known["fsdd"] = ()
        for sound in digits.sounds:
            voice = str(sound.speaker)
            clips.append(Clip(sound.path, "fsdd", voice, fold=voices.index(voice) % 5))
            texts.append(DIGITS[int(str(sound.label))])
    made = run.features([clip.path for clip in clips], _mel, {"what": "log-mel of speech"}, "log-mel")
    kept = made.kept
    return [clips[i] for i in kept], [texts[i] for i in kept], made.values, known, left_out + made.left_out


def _mel(wave: np.ndarray) -> np.ndarray:
    from edge_ser.models.two_task import TwoTask

    return log_mel(trim_silence(wave, TwoTask.spec.sample_rate), TwoTask.spec).astype(np.float16)


def learn_words(
    run: StudyRun,
    *,
    protocol: str,
    weight: float,
    fold: int,
    seed: int,
    epochs: int,
    channels: int,
    batch: int,
    lr: float,
) -> Part:
    """Train both heads with the letters' share of the loss, and answer the clips that are held out."""
    import torch

    from edge_ser.models.two_task import TwoTask, TwoTaskConfig
    from edge_ser.training.ctc import ctc_align
    from edge_ser.training.steps import Pace, fit_steps
    from edge_ser.training.two_task import SpokenClips, hear, two_task_loss

    clips, texts, features, known, _ = spoken(run)
    labels = label_order(label for mine in known.values() for label in mine)
    truth = np.array([labels.index(clip.emotion) if clip.emotion else -1 for clip in clips])
    allowed = np.array([[label in known[clip.corpus] for label in labels] for clip in clips])
    whole = SpokenClips(features, texts, truth, allowed, [clip.corpus for clip in clips])
    tested = tested_clips(clips, protocol, seed, fold)
    places = np.flatnonzero(tested)
    train, test = whole.take(np.flatnonzero(~tested)), whole.take(places)
    config = TwoTaskConfig(labels, alphabet_of(texts), channels=channels)
    torch.manual_seed(seed)
    model = TwoTask(config)
    steps, batches = train.batches(batch, config)
    pace = Pace(epochs, steps, lr=lr)
    key = f"letters {weight:g} {protocol} {fold} {seed}"
    with run.bar(key, pace.epochs, "epoch") as bar:
        course = fit_steps(model, batches, two_task_loss(weight), pace, seed=seed, identity=key,
                            folder=run.workplace(key, epochs=epochs), report=bar.epoch)  # fmt: skip
    heard = hear(model, test)
    # the picture's clip: the first of the held out, with its target laid over what the network says
    one = test.batch([0], config)
    with torch.no_grad():
        log_probs, _ = model(one.features, one.frames)
    alignment = ctc_align(log_probs, one.targets, model.encoded(one.frames), one.lengths)
    return {
        "labels": list(labels),
        "truth": truth[places],
        "chances": heard.chances,
        "speakers": [clips[i].speaker for i in places],
        "corpora": [clips[i].corpus for i in places],
        "said": test.texts,
        "heard": heard.texts,
        "fold": fold,
        "seed": seed,
        "records": course.records,
        "parameters": sum(p.numel() for p in model.parameters()),
        "alphabet": config.alphabet,
        "picture": np.asarray(test.features[0], np.float32),
        "posteriors": log_probs[:, 0].exp().numpy(),
        "spans": [list(span) for span in alignment.spans(0)],
        "of": clips[places[0]].path.name,
    }


def compare_ctc(run: StudyRun, *, cases: int) -> Part:
    """Loss and gradient of random batches, ours and torch's: the largest differences."""
    import torch

    from edge_ser.training.ctc import ctc_loss

    apart, steep, impossible = 0.0, 0.0, 0
    for seed in range(cases):
        rng = np.random.default_rng(seed)
        total, batch, classes, longest = (
            int(rng.integers(low, high)) for low, high in ((1, 25), (1, 6), (2, 9), (1, 11))
        )
        logits = torch.from_numpy(rng.normal(0, 2, (total, batch, classes)).astype(np.float32))
        targets = torch.from_numpy(rng.integers(1, classes, (batch, longest)))
        frames, lengths = (torch.from_numpy(rng.integers(0, most + 1, batch)) for most in (total, longest))
        found = []
        for function in (ctc_loss, torch.nn.functional.ctc_loss):
            x = logits.clone().requires_grad_()
            loss = function(x.log_softmax(2), targets, frames, lengths, reduction="none")
            torch.where(torch.isfinite(loss), loss, 0.0).sum().backward()
            found.append((loss.detach().numpy(), torch.as_tensor(x.grad).numpy()))
        (mine, slope), (theirs, other) = found
        finite = np.isfinite(theirs)
        if (np.isfinite(mine) != finite).any():
            apart = float("inf")
            break
        impossible += int((~finite).sum())
        apart = max(apart, float(np.abs(mine[finite] - theirs[finite]).max(initial=0)))
        steep = max(steep, float(np.abs(slope[:, finite] - other[:, finite]).max(initial=0)))
    return {"cases": cases, "loss": min(apart, 1e9), "gradient": min(steep, 1e9), "impossible": impossible}


def word_lines(run: StudyRun, parts: dict[tuple[str, float], list[Part]]) -> tuple[list[Line], list[Section]]:
    """Rows of the table and sections, from the parts of each protocol and weight."""
    weights = sorted({weight for _, weight in parts})
    lines, rows = [], []
    for weight in weights:
        mine = {
            protocol: parts[protocol, weight] for protocol in run.protocols if (protocol, weight) in parts
        }
        share = "alone" if weight in (0.0, 1.0) else f"with {1 - weight:g} of the loss"
        if weight < 1:
            answers = {protocol: _answers(some) for protocol, some in mine.items()}
            lines.append(line_of(f"emotion-{weight:g}", f"emotion {share}", answers, metric="uar"))
        if weight > 0:
            share = "alone" if weight == 1.0 else f"with {weight:g} of the loss"
            figures = {
                protocol: errors_of(some, interval=protocol == "honest") for protocol, some in mine.items()
            }
            lines.append(Line(f"letters-{weight:g}", f"letters {share}", None, figures.get("as-published"),
                              figures.get("honest"), ERRORS, "lower is better"))  # fmt: skip
        for protocol, some in mine.items():
            rows += _by_corpus(protocol, weight, some)
    parameters = next(iter(parts.values()))[0]["parameters"]
    text = (
        f"One network of {parameters} parameters. The weight is the letters' share of the loss; 0 and 1 are the tasks "
        "alone."
    )
    sections = [Section("Letters and emotion by corpus", text, {}, rows), *_pictures(parts)]
    return sorted(lines, key=lambda line: line.key.split("-")[0]), sections


def _answers(parts: Sequence[Part]) -> ClassAnswers:
    """Emotions of the clips that have one."""
    made = []
    for part in parts:
        known = np.asarray(part["truth"]) >= 0
        groups = [speaker for speaker, one in zip(part["speakers"], known, strict=True) if one]
        truth, chances = np.asarray(part["truth"])[known], np.asarray(part["chances"])[known]
        fold, seed = part["fold"], part["seed"]
        made.append(ClassAnswers.of(part["labels"], truth, chances, groups, fold=fold, seed=seed))
    return ClassAnswers.joined(made)


def errors_of(parts: Sequence[Part], *, interval: bool) -> Figure:
    """Character error rate of all clips, with its interval over speakers."""
    said = [text for part in parts for text in part["said"]]
    heard = [text for part in parts for text in part["heard"]]
    speakers = [speaker for part in parts for speaker in part["speakers"]]
    edits = np.array([edit_distance(a, b) for a, b in zip(said, heard, strict=True)])
    lengths = np.array([len(a) for a in said])
    ends = bootstrap_ci(functools.partial(_share, edits, lengths), speakers) if interval else None
    by_seed = [
        character_error_rate(
            [text for part in parts if part["seed"] == seed for text in part["said"]],
            [text for part in parts if part["seed"] == seed for text in part["heard"]],
        )
        for seed in sorted({part["seed"] for part in parts})
    ]
    spread = float(np.std(by_seed, ddof=1)) if len(by_seed) > 1 else None
    return Figure(character_error_rate(said, heard), ends, spread, len(said))


def _share(edits: np.ndarray, lengths: np.ndarray, places: np.ndarray) -> float:
    return float(edits[places].sum() / lengths[places].sum())


def _by_corpus(protocol: str, weight: float, parts: Sequence[Part]) -> list[dict[str, Any]]:
    rows = []
    for corpus in dict.fromkeys(name for part in parts for name in part["corpora"]):
        said, heard, truth, answer = [], [], [], []
        for part in parts:
            places = [i for i, name in enumerate(part["corpora"]) if name == corpus]
            said += [part["said"][i] for i in places]
            heard += [part["heard"][i] for i in places]
            truth += [int(part["truth"][i]) for i in places]
            answer += np.asarray(part["chances"])[places].argmax(1).tolist()
        row: dict[str, Any] = {
            "corpus": corpus,
            "protocol": protocol,
            "letters' weight": weight,
            "clips": len(said),
        }
        letters = weight > 0
        row["character errors"] = character_error_rate(said, heard) if letters else None
        row["word errors"] = word_error_rate(said, heard) if letters else None
        row["UAR"] = uar(truth, answer) if weight < 1 and min(truth) >= 0 else None
        rows.append(row)
    return rows


def _pictures(parts: dict[tuple[str, float], list[Part]]) -> list[Section]:
    from edge_ser.evaluation.alignment import Span, plot_alignment
    from edge_ser.evaluation.drawings import as_svg
    from edge_ser.evaluation.plots import plot_curves
    from edge_ser.models.two_task import TwoTask

    aligned, courses = {}, {}
    for (protocol, weight), some in parts.items():
        one = some[0]
        name = f"{protocol}, letters' weight {weight:g}"
        courses[name] = as_svg(plot_curves, one["records"], title=name)
        if weight not in (TOGETHER, 1.0) or not one["spans"]:
            continue
        step = TwoTask.stride / TwoTask.spec.frame_rate
        spans = [Span(c, a * step, b * step) for c, (a, b) in zip(one["said"][0], one["spans"], strict=True)]
        aligned[f"{one['of']}: “{one['said'][0]}”, heard as “{one['heard'][0]}” ({name})"] = as_svg(
            plot_alignment, one["picture"], TwoTask.spec, spans, one["posteriors"], one["alphabet"],
            title=f"{one['of']}: heard “{one['heard'][0]}” ({name})",
        )  # fmt: skip
    text = "Letters stand where the likeliest path of the true text (Viterbi) has them; below, what the network says."
    return [Section("Alignment", text, aligned), Section("Learning curves of the two tasks", "", courses)]
