"""The parts of study R: each trains one kind of classifier on one division of RAVDESS."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from edge_ser.corpora import Clip, Corpus, LeftOut
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.class_answers import ClassAnswers
from edge_ser.evaluation.divisions import Division, apart, stratified
from edge_ser.features.images import mel_image
from edge_ser.features.spec import load_spec
from edge_ser.features.vector import feature_vector, vector_names
from edge_ser.studies import Part, StudyRun
from edge_ser.studies.networks import Labelled, network_part, save_network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Material", "encoder", "finetuned", "forest", "load", "network"]

SIDE = 128
_VALID = 0.15
_LONGEST_S = 4.0  # of a clip that a large encoder hears; RAVDESS's last 3 to 5 s
_FEATURES = "classic"


class Material(NamedTuple):
    """Clips whose features and images could be computed."""

    corpus: Corpus
    clips: list[Clip]
    labelled: Labelled
    vectors: np.ndarray
    images: list[np.ndarray]
    left_out: list[LeftOut]


def load(run: StudyRun) -> Material:
    """Clips, their feature vectors and their mel images."""
    from edge_ser.models.mel_cnn import MelCnn3

    corpus = run.corpus("ravdess")
    clips = [clip for clip in corpus.clips if clip.emotion is not None and clip.fold is not None]
    if run.scale == "miniature":
        clips = [clips[i] for i in np.sort(np.random.default_rng(0).permutation(len(clips))[:64])]
    paths = [clip.path for clip in clips]
    spec = load_spec(_FEATURES)
    vectors = run.features(
        paths, functools.partial(feature_vector, spec=spec), {"vector": spec.to_dict()}, "features"
    )
    front = MelCnn3.spec
    compute = functools.partial(mel_image, spec=front, columns=SIDE)
    images = run.features(paths, compute, {"image": front.to_dict(), "columns": SIDE}, "images")
    both = sorted(set(vectors.kept) & set(images.kept))
    by_place = [dict(zip(made.kept, made.values, strict=True)) for made in (vectors, images)]
    kept = [clips[i] for i in both]
    labels = tuple(label for label in corpus.labels if any(clip.emotion == label for clip in kept))
    truth = np.array([labels.index(clip.emotion or "") for clip in kept])
    labelled = Labelled(labels, truth, [clip.speaker for clip in kept], [clip.fold or 0 for clip in kept])
    seen = {one.what: one for one in (*vectors.left_out, *images.left_out)}
    return Material(
        corpus,
        kept,
        labelled,
        np.array([by_place[0][i] for i in both]),
        [by_place[1][i] for i in both],
        [*corpus.left_out, *seen.values()],
    )


def _table(vectors: np.ndarray, bands: bool) -> tuple[np.ndarray, list[str]]:
    """The table of features and its columns' names, of `Material.vectors`.

    "Mel statistics" of the source can be read in two ways: of each band (512 columns of 798, among which a forest that
    looks at the square root of their number at a time finds little else), or of the whole mel spectrogram: four
    columns, beside means and deviations of the other features.
    """
    names = np.array(vector_names(load_spec(_FEATURES)))
    if bands:
        return vectors, names.tolist()
    mel = {how: vectors[:, [n.startswith("log_mel") and n.endswith(how) for n in names]]
           for how in ("mean", "std", "min", "max")}  # fmt: skip
    mean = mel["mean"].mean(1)
    # deviations within bands and between them
    spread = np.sqrt(np.maximum((mel["std"] ** 2 + mel["mean"] ** 2).mean(1) - mean**2, 0.0))
    others = [not n.startswith("log_mel") and not n.endswith(("_min", "_max")) for n in names]
    whole = np.stack([mean, spread, mel["min"].min(1), mel["max"].max(1)], 1)
    return np.concatenate([vectors[:, others], whole], 1), [
        *names[others].tolist(),
        *(f"mel_{how}" for how in mel),
    ]


def _division(
    clips: Labelled, protocol: str, fold: int, seed: int, *, valid: float = _VALID, test: float = 0.15
) -> Division:
    if protocol == "as-published":
        return stratified(clips.truth, valid=valid, test=test, seed=42 + seed)
    return next(one for one in apart(clips.folds, clips.groups, valid=valid, seed=seed) if one.fold == fold)


def _standardised(vectors: np.ndarray, train: np.ndarray) -> np.ndarray:
    mean, spread = vectors[train].mean(0), vectors[train].std(0)
    return ((vectors - mean) / np.maximum(spread, 1e-6)).astype(np.float32)


def forest(
    run: StudyRun, *, protocol: str, fold: int, seed: int, grid: dict[str, list[Any]], bands: bool
) -> Part:
    """A random forest; of several settings the best is searched for by cross-validation within the training clips."""
    from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold

    from edge_ser.models.classifiers import classical, count_classical

    material = load(run)
    clips, (vectors, names) = material.labelled, _table(material.vectors, bands)
    division = _division(clips, protocol, fold, seed, valid=0.0, test=0.3)
    truth, groups = clips.truth[division.train], [clips.groups[i] for i in division.train]
    smallest = int(np.bincount(truth, minlength=len(clips.labels)).min())
    if protocol == "honest":
        how: Any = GroupKFold(min(5, len(set(groups))))
    else:
        how = StratifiedKFold(min(5, max(2, smallest)), shuffle=True, random_state=seed)
    if all(len(values) == 1 for values in grid.values()):
        settings: dict[str, Any] = {name: value for name, (value,) in grid.items()}
        best = classical("random-forest", seed, **settings).fit(vectors[division.train], truth)
    else:
        search = GridSearchCV(classical("random-forest", seed), grid, cv=how, scoring="accuracy", n_jobs=1)
        search.fit(vectors[division.train], truth, **({"groups": groups} if protocol == "honest" else {}))
        best, settings = search.best_estimator_, dict(search.best_params_)
    scores = np.zeros((len(division.test), len(clips.labels)))
    scores[:, best.classes_] = best.predict_proba(vectors[division.test])
    return {
        **clips.answers(division, scores, seed).to_part(),
        "importances": np.asarray(best.feature_importances_, np.float64),
        "names": names,
        "settings": settings,
        "parameters": count_classical(best),
    }


def network(
    run: StudyRun,
    *,
    key: str,
    protocol: str,
    fold: int,
    seed: int,
    epochs: int,
    bfloat16: bool,
    share: float = 1.0,
    augmented: bool = False,
    pretrained: int = 0,
    bands: bool = False,
) -> Part:
    """A network on images, on features, or on both.

    Parameters
    ----------
    key : str
        ``cnn-3``, ``cnn-4``, ``cnn-5``, ``mlp`` or ``cnn+mlp``.
    bfloat16 : bool
        As of `edge_ser.training.classify.Schedule`.
    share : float
        Of the training clips that it learns from.
    augmented : bool
        Masks over time and bands, and Gaussian noise.
    pretrained : int
        Epochs of greedy layer-wise pretraining of each layer, on the training images alone.
    bands : bool
        The table of features has each mel band's statistics, see `_table`.
    """
    from edge_ser.models import ARCHITECTURES
    from edge_ser.models.classifiers import ImageAndVector, Mlp
    from edge_ser.models.mel_cnn import ConvStack, OnImages
    from edge_ser.training.classify import Schedule
    from edge_ser.training.image_augment import MaskAndNoise
    from edge_ser.training.pretrain import pretrain_stack

    material = load(run)
    clips = material.labelled
    division = _division(clips, protocol, fold, seed)
    if share < 1:
        rng = np.random.default_rng(seed)
        some = np.sort(rng.permutation(division.train)[: round(share * len(division.train))])
        division = dataclasses.replace(division, train=some)
    vectors, _ = _table(material.vectors, bands)
    classes, width = len(clips.labels), vectors.shape[1]
    schedule = Schedule(
        epochs=epochs,
        batch=32 if key == "mlp" else 64,
        lr=1e-3,
        weight_decay=0.0 if key == "mlp" else 5e-5,
        rate="constant" if key == "mlp" else "plateau",
        clip=0.0 if key == "mlp" else 1.0,
        stop_after=0 if key == "mlp" else 10,
        keep="best",
        bfloat16=bfloat16,
    )
    inputs: list[Sequence[np.ndarray] | np.ndarray] = []
    if key == "cnn+mlp":
        inputs.append([image[None] for image in material.images])
    elif key != "mlp":
        inputs.append(material.images)
    if key in ("mlp", "cnn+mlp"):
        inputs.append(_standardised(vectors, division.train))

    def build() -> nn.Module:
        if key == "mlp":
            return Mlp(width, classes)
        if key == "cnn+mlp":
            return ImageAndVector(width, classes)
        row = ARCHITECTURES[key]
        model = OnImages(row.model(row.config(labels=clips.labels)))  # type: ignore[arg-type]
        if pretrained:
            stack = model.network.stack
            assert isinstance(stack, ConvStack)
            images = np.array([material.images[i] for i in division.train])
            with run.bar(f"{key} layers", pretrained * len(stack.widths), "epoch") as bar:
                pretrain_stack(stack, images, epochs=pretrained, seed=seed, report=bar.epoch)
        return model

    def keep(model: nn.Module) -> None:
        if isinstance(model, OnImages) and (augmented, pretrained) == (False, 0):
            save_network(run, key, model.network, material.corpus, material.clips, division, protocol, seed)

    return network_part(
        run,
        f"{key} {protocol}",
        build,
        inputs,
        clips,
        division,
        schedule,
        seed=seed,
        augment=MaskAndNoise(bands=20, frames=20, noise=0.3) if augmented else None,
        keep=keep,
        epochs=epochs,
        augmented=augmented,
        pretrained=pretrained,
    )


def encoder(run: StudyRun, *, source: str, cache: str, protocol: str, fold: int, seed: int) -> Part:
    """Linear heads on the statistics of a frozen encoder's states."""
    from edge_ser.features.cache import Cache
    from edge_ser.teachers.encoders import load_encoder
    from edge_ser.teachers.linear import HeadPart, LinearHeads
    from edge_ser.training.teach import heard_statistics
    from edge_ser.training.views import ViewMaker, computed

    material = load(run)
    clips = material.labelled
    what, hear = heard_statistics(load_encoder(source))
    with run.bar("hearing", len(material.clips)) as bar:
        kept = Cache(Path(cache) if cache else run.folder / "cache")
        rows = np.array(
            computed(material.clips, ViewMaker(), {what: hear}, kept, bar.wrap)[what][0], np.float32
        )
    division = _division(clips, protocol, fold, seed, valid=0.0)
    n, width = len(division.train), rows.shape[1]
    components = min(384, n, width)
    heads = LinearHeads.fit(
        rows[division.train],
        clips.truth[division.train],
        np.ones((n, len(clips.labels)), bool),
        np.full((n, 3), np.nan, np.float32),
        clips.labels,
        HeadPart(components=components, hint=0),
    )
    logits = heads.answer(rows[division.test])[0].astype(np.float64)
    scores = np.exp(logits - logits.max(1, keepdims=True))
    answers = clips.answers(division, scores / scores.sum(1, keepdims=True), seed)
    return {**answers.to_part(), "parameters": heads.weight.size + heads.bias.size}


def finetuned(
    run: StudyRun, *, source: str, protocol: str, fold: int, seed: int, epochs: int, tuned: int
) -> Part:
    """A large encoder of waveforms, its top layers tuned together with a linear layer."""
    from edge_ser.audio import SAMPLE_RATE, load_audio
    from edge_ser.training.classify import Schedule
    from edge_ser.training.finetune import EncoderClassifier

    material = load(run)
    samples = round(_LONGEST_S * SAMPLE_RATE)
    if not material.clips:
        raise EdgeSerError("there are no clips to tune on")
    waves = []
    for clip in material.clips:
        wave = load_audio(clip.path)[:samples]
        waves.append(np.pad(wave, (0, samples - len(wave))))
    division = _division(material.labelled, protocol, fold, seed)
    return network_part(
        run,
        f"tuned {protocol}",
        lambda: EncoderClassifier(source, len(material.labelled.labels), tuned=tuned),
        [waves],
        material.labelled,
        division,
        Schedule(epochs=epochs, batch=8, lr=1e-4, optimiser="adamw", rate="one-cycle", clip=1.0, keep="best"),
        seed=seed,
        source=source,
        epochs=epochs,
        tuned=tuned,
    )


def joined(parts: Sequence[Part]) -> ClassAnswers:
    """Answers of several parts."""
    return ClassAnswers.joined([ClassAnswers.of_part(part) for part in parts])
