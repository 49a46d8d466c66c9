"""Teaching: what students hear comes from heads that heard neither their test fold nor the clip's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from edge_ser.audio import load_audio
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.metrics import ccc, uar
from edge_ser.perturb import Perturber
from edge_ser.teachers.linear import LinearHeads, LinearTeacher, statistics
from edge_ser.teachers.targets import Targets, TargetStore, content_key
from edge_ser.tensors import read_metadata
from edge_ser.training.data import pool_corpora
from edge_ser.training.teach import TeachRecipe, run_teacher
from edge_ser.training.views import ViewMaker
from tests.edge_ser.training.tones import Bands, use_encoder, write_teacher, write_tones

FOLDS = (0, 1, 2)


class Taught:
    """What a run of the teacher left, and all that is needed to compute it again by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.corpora = [
            write_tones(folder),
            write_tones(folder, "rated", ("angry", "sad"), 24, rated=True),
            write_tones(folder, "loose", ("angry", "sad"), 4, folds=None),
        ]
        self.recipe = TeachRecipe.read(write_teacher(folder, self.corpora))
        self.encoder = Bands()
        with pytest.MonkeyPatch.context() as patch:
            use_encoder(patch, self.encoder)
            self.result = run_teacher(self.recipe, "models/bands/", folder / "runs", folder / "results")
        corpus, self.known = pool_corpora(self.recipe.data.corpora)
        self.clips, self.labels = corpus.clips, corpus.labels
        maker = ViewMaker(2, Perturber(self.recipe.perturb))
        waves = [[maker.make(load_audio(clip.path), view) for clip in self.clips] for view in range(2)]
        self.keys = [[content_key(wave) for wave in row] for row in waves]
        self.rows = np.array(
            [[statistics(Bands(), wave).astype(np.float16) for wave in row] for row in waves]
        )
        self.fold = np.array([-1 if clip.fold is None else clip.fold for clip in self.clips])

    def heads(self, *without: int) -> LinearHeads:
        """Fitted by hand on clips that have a fold, without some of the folds."""
        part = [i for i, clip in enumerate(self.clips) if clip.fold is not None and clip.fold not in without]
        chosen = [self.clips[i] for i in part] * 2
        return LinearHeads.fit(
            np.concatenate([self.rows[view, part] for view in range(2)]).astype(np.float32),
            np.array([self.labels.index(clip.emotion) for clip in chosen]),
            np.array([[label in self.known[clip.corpus] for label in self.labels] for clip in chosen]),
            np.array([clip.adv or (np.nan,) * 3 for clip in chosen], np.float32),
            self.labels,
            self.recipe.head,
        )

    def answer(self, heads: LinearHeads, view: int, clip: int) -> tuple[Any, Any, Any]:
        logits, adv, hint = heads.answer(self.rows[view, [clip]].astype(np.float32))
        return logits[0], adv[0], hint[0]

    def store(self, name: str) -> TargetStore:
        return TargetStore.open(self.folder / "runs" / "teacher" / name)

    def teacher(self, name: str) -> LinearTeacher:
        with pytest.MonkeyPatch.context() as patch:
            use_encoder(patch, Bands())
            return LinearTeacher.load(self.folder / "runs" / "teacher" / f"{name}.safetensors", "bands")


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Taught:
    return Taught(tmp_path_factory.mktemp("taught"))


def assert_said(targets: Targets, logits: Any, adv: Any, hint: Any) -> None:
    for found, expected in zip(targets, (adv, logits, hint), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)  # the store keeps half precision


@pytest.mark.parametrize("fold", FOLDS)
def test_answers_are_of_heads_that_heard_neither_the_test_fold_nor_the_clips(
    taught: Taught, fold: int
) -> None:
    store, whole = taught.store(f"fold{fold}"), taught.heads(fold)
    for other in set(FOLDS) - {fold}:
        heads = taught.heads(fold, other)
        differs = 0.0
        for clip in np.flatnonzero(taught.fold == other):
            for view in range(2):
                logits, adv, _ = taught.answer(heads, view, clip)
                learnt, _, hint = taught.answer(whole, view, clip)
                assert_said(store.get(taught.keys[view][clip]), logits, adv, hint)
                differs = max(differs, float(np.abs(logits - learnt).max()))
        assert differs > 0.1  # heads that heard the clip say something else


@pytest.mark.parametrize("fold", FOLDS)
def test_nothing_of_the_test_fold_is_in_its_store(taught: Taught, fold: int) -> None:
    store = taught.store(f"fold{fold}")
    inside = {i for i in range(len(taught.clips)) if taught.fold[i] not in (-1, fold)}
    for row in taught.keys:
        assert {i for i, key in enumerate(row) if key in store} == inside
    assert len(store) == 2 * len(inside) == 2 * 40


def test_the_store_of_everything_is_cross_fitted_too(taught: Taught) -> None:
    store, whole = taught.store("all"), taught.heads()
    assert len(store) == 2 * len(taught.clips)
    for other in FOLDS:
        heads = taught.heads(other)
        for clip in np.flatnonzero(taught.fold == other)[::3]:
            for view in range(2):
                logits, adv, _ = taught.answer(heads, view, clip)
                _, _, hint = taught.answer(whole, view, clip)
                assert_said(store.get(taught.keys[view][clip]), logits, adv, hint)


def test_a_clip_without_a_fold_teaches_nothing_and_is_answered_for_students_of_everything(
    taught: Taught,
) -> None:
    loose = np.flatnonzero(taught.fold == -1)
    assert len(loose) == 4
    whole = taught.heads()  # which `heads` fits without them
    for clip in loose:
        for view in range(2):
            assert_said(taught.store("all").get(taught.keys[view][clip]), *taught.answer(whole, view, clip))
        assert all(taught.keys[0][clip] not in taught.store(f"fold{fold}") for fold in FOLDS)


def test_checkpoints_are_the_teachers_by_their_held_out_fold(taught: Taught) -> None:
    for fold in (*FOLDS, None):
        name = "all" if fold is None else f"fold{fold}"
        teacher = taught.teacher(name)
        expected = taught.heads() if fold is None else taught.heads(fold)
        assert teacher.labels == taught.labels
        for array, mine in expected.tensors().items():
            atol = 1e-3 if array == "basis" else 1e-6
            np.testing.assert_allclose(getattr(teacher.heads, array), mine, atol=atol)
        meta = json.loads(
            read_metadata(taught.folder / "runs" / "teacher" / f"{name}.safetensors")["edge_ser_teacher"]
        )
        assert meta["held_out_fold"] == fold and meta["recipe"]["name"] == "teacher"


def test_figures_are_of_folds_that_the_teacher_never_heard(taught: Taught) -> None:
    result = json.loads((taught.folder / "results" / "teacher.json").read_text())
    assert result == json.loads(json.dumps(taught.result))
    assert result["corpus"] == "tones+rated+loose" and result["model"] == "linear heads on bands"
    assert result["protocol"].startswith("3 speaker-disjoint folds")
    assert [(one["fold"], one["n"]) for one in result["folds"]] == [(0, 20), (1, 20), (2, 20)]
    assert result["params"] == sum(array.size for array in taught.heads(0).tensors().values())
    assert set(result["corpora"]) == {"tones", "rated", "loose"} and result["corpora"]["loose"] == {}
    assert result["corpora"]["rated"]["adv"]["n"] == 24 and "adv" not in result["corpora"]["tones"]
    rated: list[tuple[float, float]] = []
    for one in result["folds"]:
        heads, truth, said = taught.heads(one["fold"]), [], []
        for i in np.flatnonzero(taught.fold == one["fold"]):
            clip = taught.clips[i]
            mine = [taught.labels.index(label) for label in taught.known[clip.corpus]]
            truth.append(taught.labels.index(clip.emotion))
            logits, adv, _ = taught.answer(heads, 0, i)
            said.append(mine[int(np.argmax(logits[mine]))])
            if clip.adv:
                rated.append((clip.adv[2], float(adv[2])))
        assert one["uar"] == pytest.approx(uar(np.array(truth), np.array(said)))
    assert result["uar"]["mean"] > 0.8  # tones are easily told apart
    valence = ccc(*(np.array(column) for column in zip(*rated, strict=True)))
    assert result["adv"]["valence"]["ccc"] == pytest.approx(valence, abs=1e-6)


def again(
    taught: Taught, folder: Path, encoder: Bands, monkeypatch: pytest.MonkeyPatch, **fields: str
) -> Any:
    """Teach once more, with other words in the recipe."""
    corpora = fields.pop("corpora", taught.corpora)
    use_encoder(monkeypatch, encoder)
    recipe = TeachRecipe.read(write_teacher(folder, corpora, **fields))
    return run_teacher(recipe, "models/bands/", folder / "runs", folder / "results")


def test_a_second_run_hears_nothing_and_writes_the_same(
    taught: Taught, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert taught.encoder.heard == 2 * len(taught.clips)
    folder = taught.folder / "runs" / "teacher"
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    assert {path.relative_to(folder).parts[0].split(".")[0] for path in before} == {
        "all", "fold0", "fold1", "fold2"}  # fmt: skip
    encoder = Bands()
    assert again(taught, taught.folder, encoder, monkeypatch) == taught.result
    assert encoder.heard == 0
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before


def test_a_stopped_run_goes_on_where_it_was(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        again(taught, tmp_path, Bands(stop_after=50), monkeypatch)
    encoder = Bands()
    assert again(taught, tmp_path, encoder, monkeypatch) == taught.result
    assert encoder.heard == 2 * len(taught.clips) - 50
    for name in ("all", "fold1"):
        mine, theirs = TargetStore.open(tmp_path / "runs" / "teacher" / name), taught.store(name)
        assert mine.teacher_id == theirs.teacher_id and len(mine) == len(theirs)


def test_labels_of_the_test_fold_reach_nothing_in_its_store(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "tones.csv"
    lines = taught.corpora[0].read_text().splitlines()
    turned = {"angry": "sad", "sad": "calm", "calm": "angry"}
    for i, line in enumerate(lines[1:], 1):
        cells = line.split(",")
        cells[0] = str(taught.folder / cells[0])
        cells[2] = turned[cells[2]] if cells[6] == "0" else cells[2]
        lines[i] = ",".join(cells)
    wrong.write_text("\n".join(lines) + "\n")
    again(taught, tmp_path, Bands(), monkeypatch, corpora=[wrong, *taught.corpora[1:]])
    key = taught.keys[0][int(np.flatnonzero(taught.fold == 1)[0])]

    def said(folder: Path, name: str) -> list[float]:
        return list(TargetStore.open(folder / "runs" / "teacher" / name).get(key).logits)

    assert said(tmp_path, "fold0") == said(taught.folder, "fold0")
    assert said(tmp_path, "fold2") != said(taught.folder, "fold2")


def test_folds_that_are_named_are_held_out_and_no_other(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "cache").symlink_to(taught.folder / "runs" / "cache")
    result = again(taught, tmp_path, Bands(), monkeypatch, more="folds = [2]")
    assert [one["fold"] for one in result["folds"]] == [2]
    assert result["folds"][0] == taught.result["folds"][2]
    names = {path.name for path in (tmp_path / "runs" / "teacher").iterdir()}
    assert names == {"fold2", "fold2.safetensors", "all", "all.safetensors"}
    assert len(TargetStore.open(tmp_path / "runs" / "teacher" / "all")) == len(taught.store("all"))


def test_a_centred_teacher_hears_a_clip_beside_its_speakers_others(
    taught: Taught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = write_teacher(tmp_path, taught.corpora)
    recipe.write_text(recipe.read_text().replace("views = 2", 'views = 2\ncentre = "speaker"'))
    use_encoder(monkeypatch, Bands())
    result = run_teacher(TeachRecipe.read(recipe), "bands", tmp_path / "runs", tmp_path / "results")
    assert result["protocol"].endswith("beside the speaker's other clips (unlabelled)")
    store = TargetStore.open(tmp_path / "runs" / "teacher" / "fold0")
    centres: list[Any] = []
    for view in range(2):
        for speaker in {clip.speaker for clip in taught.clips if clip.fold == 1}:
            mine = [i for i, clip in enumerate(taught.clips) if clip.speaker == speaker]
            hints = np.array([store.get(taught.keys[view][i]).hint for i in mine])
            alone = np.array([taught.store("fold0").get(taught.keys[view][i]).hint for i in mine])
            # every speaker's mean is the same point, that of statistics of zero
            centres.append(hints.mean(0))
            assert np.ptp(hints, 0).max() > 0.1 and not np.allclose(hints, alone, atol=0.05)
    np.testing.assert_allclose(centres, [centres[0]] * len(centres), atol=5e-3)
    teacher = LinearTeacher.load(tmp_path / "runs" / "teacher" / "fold0.safetensors", "bands")
    with pytest.raises(EdgeSerError, match="beside its speaker's others"):
        teacher.targets(np.zeros(16000, np.float32))


def test_a_corpus_of_ratings_alone_can_be_taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = write_tones(tmp_path, "rated", ("angry", "sad"), 24, rated=True)
    table.write_text(table.read_text().replace(",angry,", ",,").replace(",sad,", ",,"))
    use_encoder(monkeypatch, Bands())
    recipe = TeachRecipe.read(write_teacher(tmp_path, [table]))
    result = run_teacher(recipe, "bands", tmp_path / "runs", tmp_path / "results")
    assert "uar" not in result and result["adv"]["arousal"]["ccc"] > 0.5
    store = TargetStore.open(tmp_path / "runs" / "teacher" / "fold0")
    wave = load_audio(tmp_path / "rated" / "4.wav")  # of speaker 2, fold 1
    said = store.get(content_key(wave))
    assert said.logits is None and said.adv is not None and said.hint is not None


def table_of(folder: Path, change: Any) -> Path:
    """Rated tones with each row's cells changed."""
    table = write_tones(folder, "rated", ("angry", "sad"), 24, rated=True)
    head, *rows = table.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    for row in cells:
        change(row)
    table.write_text("\n".join([head, *map(",".join, cells)]) + "\n")
    return table


def no_fold(row: list[str]) -> None:
    row[6] = ""


def two_folds(row: list[str]) -> None:
    row[6] = "0" if row[6] == "0" else "1"


def one_rated_fold(row: list[str]) -> None:
    if row[6] != "1":
        row[3:6] = ["", "", ""]


def mixed_folds(row: list[str]) -> None:
    row[6] = str(int(row[0].removeprefix("rated/").removesuffix(".wav")) % 3)


@pytest.mark.parametrize(
    ("change", "more", "says"),
    [
        (mixed_folds, "", "in rated rated-0.* would stand on both sides of fold 0"),
        (no_fold, "", "rated has 0 folds.*give it three or more"),
        (two_folds, "", "rated has 2 folds.*give it three or more"),
        (one_rated_fold, "", "only fold 1 of rated has ratings"),
        (lambda row: None, "folds = [0, 7]", "rated has no fold 7"),
    ],
)
def test_what_cannot_be_taught_is_said_before_anything_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Any, more: str, says: str
) -> None:
    encoder = use_encoder(monkeypatch, Bands())
    recipe = TeachRecipe.read(write_teacher(tmp_path, [table_of(tmp_path, change)], more))
    with pytest.raises(EdgeSerError, match=says):
        run_teacher(recipe, "bands", tmp_path / "runs", tmp_path / "results")
    assert encoder.heard == 0


def test_states_that_half_precision_cannot_hold_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loud(Bands):
        def hidden(self, wave: np.ndarray) -> list[Any]:
            return [state * 1e5 for state in super().hidden(wave)]

    use_encoder(monkeypatch, Loud())
    recipe = TeachRecipe.read(write_teacher(tmp_path, [write_tones(tmp_path)]))
    with pytest.raises(EdgeSerError, match=r"0.wav: the encoder's states .* use another encoder"):
        run_teacher(recipe, "bands", tmp_path / "runs", tmp_path / "results")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[teach]\nviews = 0\n", r"\[teach\] needs views of at least 1"),
        (
            "[head]\nhint = 500\n",
            r"\[head\] needs components of at least 1 and a hint of 0 to 384 of them, not 500",
        ),
        ("[head]\nweight_decay = 0\n", r"\[head\] needs weight_decay and adv_weight_decay above 0"),
        ("[head]\ncomponent = 3\n", "no field 'component'"),
        ("[perturb]\np_noise = 2.0\n", r"\[perturb\] p_noise must be a number from 0 to 1"),
        ("[fit]\nepochs = 3\n", "unknown fields fit; there are attentive, data, head, name, perturb, teach"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "teacher.toml"
    path.write_text('[data]\ncorpora = ["ravdess"]\n' + text)
    with pytest.raises(EdgeSerError, match=says):
        TeachRecipe.read(path)


def test_the_least_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[data]\ncorpora = ["ravdess"]\n')
    recipe = TeachRecipe.read(tmp_path / "mine.toml")
    assert recipe.name == "mine" and recipe.teach.views == 1
    assert (recipe.head.components, recipe.head.hint) == (384, 96)


def test_a_clip_without_emotion_and_ratings_is_not_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsaid(row: list[str]) -> None:
        if row[0].endswith("/3.wav"):
            row[2:6] = [""] * 4

    encoder = use_encoder(monkeypatch, Bands())
    recipe = TeachRecipe.read(write_teacher(tmp_path, [table_of(tmp_path, unsaid)]))
    result = run_teacher(recipe, "bands", tmp_path / "runs", tmp_path / "results")
    [left] = result["left_out"]
    assert Path(left["what"]).name == "3.wav" and left["reason"] == "no emotion and no ratings"
    assert encoder.heard == 2 * 23
