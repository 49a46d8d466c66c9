"""Pictures: drawn whole, of the size asked for, and the same twice."""

from __future__ import annotations

import dataclasses
import io
import warnings

import numpy as np
import pytest

from edge_ser.dsp import MelSpec
from edge_ser.errors import EdgeSerError
from edge_ser.evaluation.canvas import figure_at
from edge_ser.evaluation.plots import EMOTION_COLOURS, plot_confusion, plot_curves, plot_over_time
from firmware_py.prediction import Prediction

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed (extra 'plot')")

SPEC = MelSpec(mean=-40.0, scale=20.0)
WAVE = (0.3 * np.sin(2 * np.pi * 440 * np.arange(24000) / 16000)).astype(np.float32)


def course(steps: int, labels=("angry", "happy", "sad")) -> list[Prediction]:
    rng = np.random.default_rng(steps)
    states = ["silence", "speech", "speech", "unsure"]
    return [
        Prediction(
            start=0,
            end=4000 * (k + 1),
            sample_rate=16000,
            arousal=float(rng.random()),
            dominance=float(rng.random()),
            valence=float(rng.random()),
            emotion=dict(zip(labels, map(float, rng.dirichlet(np.ones(len(labels)))), strict=True)),
            state=states[k % 4],
            level_db=-20.0,
        )
        for k in range(steps)
    ]


def pixels(path) -> np.ndarray:
    from matplotlib.image import imread

    return imread(io.BytesIO(path.read_bytes()), format="png")


def test_noise_is_called_so_and_pale_and_no_emotion(tmp_path):
    path = tmp_path / "course.svg"
    heard = [dataclasses.replace(one, state="noise") for one in course(6)]
    plot_over_time(path, WAVE, heard, spec=SPEC, title="a fan")
    text = path.read_text()
    assert "<!-- noise -->" in text and "pale: nobody speaks" in text
    for label in ("angry", "happy", "sad"):
        assert text.count(f"<!-- {label} -->") == 1  # in the legend alone


def test_a_course_is_drawn_with_the_colours_of_its_emotions(tmp_path):
    path = tmp_path / "course.png"
    plot_over_time(path, WAVE, course(6), spec=SPEC, title="a tone")
    image = pixels(path)
    height, width = image.shape[:2]
    assert height > 800 and width > 1000
    seen = {tuple(colour) for colour in np.round(image[..., :3].reshape(-1, 3) * 255).astype(int)}
    for label in ("angry", "happy", "sad"):
        red, green, blue = (int(EMOTION_COLOURS[label][i : i + 2], 16) for i in (1, 3, 5))
        assert (red, green, blue) in seen
    assert [p.name for p in tmp_path.iterdir()] == ["course.png"]  # nothing left beside it


def test_the_spectrogram_puts_a_tone_at_its_frequency(tmp_path):
    path = tmp_path / "tone.png"
    plot_over_time(path, WAVE, course(6), spec=SPEC)
    image = pixels(path)[..., :3]
    column = image[: image.shape[0] // 3, image.shape[1] // 3].sum(-1)
    # below a white margin the top band is dark; the tone is bright, in the lower fifth of the panel (440 of 8000 Hz)
    dark = np.flatnonzero(column < 0.3)
    bright = dark[0] + np.argmax(column[dark[0] : dark[-1]])
    assert 0.8 < (bright - dark[0]) / (dark[-1] - dark[0]) < 1.0


@pytest.mark.parametrize(("steps", "suffix"), [(1, ".png"), (2, ".svg"), (2, ".pdf"), (200, ".png")])
def test_every_length_and_kind_is_drawn_and_the_same_twice(tmp_path, steps, suffix):
    wave = np.resize(WAVE, 4000 * steps + 7)
    first, second = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (first, second):
        plot_over_time(path, wave, course(steps, ("yes", "no", "sad")), spec=SPEC, title="own labels")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")


def test_digital_silence_is_drawn(tmp_path):
    plot_over_time(tmp_path / "a.png", np.zeros(8000, np.float32), course(2), spec=SPEC)
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_curves_put_losses_rates_and_figures_into_panels_of_their_own(tmp_path):
    records = [
        {
            "epoch": e,
            "loss": 1 / e,
            "adv_loss": 0.5 / e,
            "lr": 1e-3 / e,
            **({"uar": 0.1 * e} if e % 2 else {}),
        }
        for e in range(1, 8)
    ]
    plot_curves(tmp_path / "all.svg", records, title="a run")
    svg = (tmp_path / "all.svg").read_text()
    for words in ("a run", "adv loss", "learning rate", "figure of merit", "epoch"):
        assert f"<!-- {words} -->" in svg
    plot_curves(tmp_path / "one.svg", [{"loss": 1.0}])
    assert "<!-- learning rate -->" not in (tmp_path / "one.svg").read_text()


def test_confusion_shows_shares_counts_and_an_empty_class(tmp_path):
    plot_confusion(tmp_path / "c.svg", [[3, 1], [0, 0]], ["angry", "sad"], title="ours")
    svg = (tmp_path / "c.svg").read_text()
    for words in ("75%", "25%", "angry", "sad", "predicted", "true", "ours"):
        assert f"<!-- {words} -->" in svg


def test_bad_input_is_a_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(EdgeSerError, match="no prediction to draw"):
        plot_over_time(tmp_path / "a.png", WAVE, [], spec=SPEC)
    with pytest.raises(EdgeSerError, match=r"a.gif is no kind of picture .* name a .png, .svg, .pdf file"):
        plot_over_time(tmp_path / "a.gif", WAVE, course(1), spec=SPEC)
    with pytest.raises(EdgeSerError, match="no epochs to draw"):
        plot_curves(tmp_path / "a.png", [])
    with pytest.raises(EdgeSerError, match=r"2 labels has the shape \(2, 2\), not \(3, 3\)"):
        plot_confusion(tmp_path / "a.png", np.eye(3), ["a", "b"])
    with pytest.raises(EdgeSerError, match="cannot write"):
        plot_curves(tmp_path / "gone" / "a.png", [{"loss": 1.0}])
    assert list(tmp_path.iterdir()) == []


def test_other_warnings_of_a_drawing_are_not_swallowed(tmp_path):
    with pytest.warns(UserWarning, match="mine"), figure_at(tmp_path / "a.png", (1, 1), 50) as figure:
        figure.savefig = lambda *_, **__: warnings.warn("mine", stacklevel=1)


def test_drawing_leaves_the_users_matplotlib_alone(tmp_path):
    before = dict(matplotlib.rcParams)
    plot_curves(tmp_path / "a.png", [{"loss": 1.0}])
    assert dict(matplotlib.rcParams) == before
