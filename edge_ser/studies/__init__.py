"""Comparisons of the literature, each as one recipe that is run as published and honestly.

How a study is written
----------------------
One file, ``edge_ser/studies/recipes/NAME.py``, that ends in ``STUDY = Study(...)``; nothing else names it. The module
holds what is particular to the study (settings, published figures, sentences). Whatever a second study could need goes
where it belongs: features into `edge_ser.dsp` or `edge_ser.features`, networks into `edge_ser.models`, losses and the
fit into `edge_ser.training`, figures and pictures into `edge_ser.evaluation`. A study over 400 lines puts a part of
itself into ``recipes/_NAME_part.py``. Its modules import torch, scikit-learn and matplotlib inside functions only, so
that ``edge-ser study --list`` is quick. ::

    def run(run: StudyRun) -> Outcome:
        corpus = run.corpus("ravdess")                     # says where to get it, refuses one class only
        features = run.features([c.path for c in corpus.clips], mel_image, {"what": "mel image", ...})
        units = [
            Unit(f"cnn-3 {protocol} seed {seed}", _train, {"protocol": protocol, "seed": seed, "epochs": epochs})
            for protocol in run.protocols for seed in run.seeds
        ]
        parts = run.parts(units, "networks")               # in order; over run.jobs processes; kept when done
        answers = {p: ClassAnswers.joined([...ClassAnswers.of_part(part)...]) for p in run.protocols}
        line = line_of("cnn-3", "CNN of 3 layers", answers, published=0.751)
        return Outcome([line], findings=["..."], sections=[Section("Confusion", pictures={...})],
                       data="...", protocols={...}, left_out=[*corpus.left_out, *features.left_out])

    def _train(run: StudyRun, *, protocol: str, seed: int, epochs: int) -> Part:
        ...                                                # a function of the module: another process must find it
        return {**ClassAnswers.of(labels, truth, scores, speakers, seed=seed).to_part(), "records": records}

    STUDY = Study("ravdess", "R", title, about, ("ravdess",), run)

- **A part** (`Unit`, `StudyRun.parts`) is a function of a module, the run and settings that JSON can hold. It returns a
  mapping of arrays and JSON values, which is kept under ``OUT/parts`` by key, settings and scale, aside and then
  renamed; an interrupted study goes on with the parts that are missing. A part is the unit of parallel work too: it
  loads its own data (`StudyRun.features` is quick the second time) and asks for nothing that was passed by memory.
  Training within a part can itself go on where it stopped: give the fit `StudyRun.workplace`.
- **Settings** of a part are whatever it depends on beside code and scale: what `pick` gives it is handed to it, not
  picked within, so that a changed recipe is another part.
- **Scale**: ``run.pick(full=50, quick=5, miniature=1)``. ``quick`` ends within ten minutes on two cores, ``miniature``
  within seconds (the tests run it), ``full`` within three hours. Fewer epochs than published are said in `Line.note`.
  A line of `Study.lines` picks by ``run.at(key)``, and its units have that run's scale: ``--full`` then runs it in full
  within a quick run.
- **Protocols**: do only what ``run.protocols`` names. ``as-published`` has the published random split and choice of
  epoch, so it leaks, and the report says so by itself; ``honest`` keeps speakers (official folds) apart and chooses
  nothing on the test. `edge_ser.evaluation.divisions` has `stratified` and `apart`, one for each.
- **Figures**: answers as `edge_ser.evaluation.class_answers.ClassAnswers`; `line_of` makes the table's row, with the
  interval over speakers where it is honest. Other figures (decibels, say) are a `Line` of `Figure`s with a `metric`.
- **Pictures** are SVG: ``as_svg(plot_confusion, counts, labels)``, ``as_svg(plot_curves, records)``, ``curves(...)`` or
  ``svg(inches, draw)`` of `edge_ser.evaluation.drawings`.
- **Findings** are sentences made of the figures, that come out otherwise when the figures do.
- **Clips that cannot be read** come back in ``left_out``; hand them on. `EdgeSerError` is for what the user can mend.
- **A test** runs the study in miniature: ``STUDY.run(StudyRun(STUDY.name, tmp_path, scale="miniature"))``.
- **Documents**: ``edge-ser study NAME --jobs 2 --out runs/NAME --record results/study-NAME.json``, then
  ``python scripts/write_docs.py`` rewrites the overview in docs/studies.md from all of ``results/study-*.json``.
"""

from edge_ser.studies.base import PROTOCOLS, SCALES, Line, Outcome, Section, Study, line_of
from edge_ser.studies.registry import find_study, studies
from edge_ser.studies.report import figures_of, write_study
from edge_ser.studies.run import Features, Part, StudyRun, Unit

__all__ = [
    "PROTOCOLS",
    "SCALES",
    "Features",
    "Line",
    "Outcome",
    "Part",
    "Section",
    "Study",
    "StudyRun",
    "Unit",
    "figures_of",
    "find_study",
    "line_of",
    "studies",
    "write_study",
]
