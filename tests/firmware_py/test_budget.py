"""A budget is a few positive numbers, and nothing else."""

from pathlib import Path

import pytest

from edge_ser.errors import EdgeSerError
from firmware_py.budget import LIMITS, check_budget, read_budget

RUN = {"rss_mb": {"peak": 40.0}, "step_ms": {"p99": 5.0}, "duty_cycle": 0.01, "file_kb": 300.0}


def test_every_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("rss_mb = 64\np99_ms = 50.5\nduty_cycle = 0.1 # a tenth of a core\nfile_kb = 400\n")
    assert read_budget(path) == {"rss_mb": 64.0, "p99_ms": 50.5, "duty_cycle": 0.1, "file_kb": 400.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "limits nothing"),
        ("rss = 64", "'rss', which is not one of rss_mb"),
        ("rss_mb = 0", "no positive number"),
        ("rss_mb = -1", "no positive number"),
        ("rss_mb = true", "no positive number"),
        ("rss_mb = nan", "no positive number"),
        ("rss_mb = inf", "no positive number"),
        ("rss_mb = '64'", "no positive number"),
        ("rss_mb 64", "is not TOML"),
        ("\xff", "is not TOML"),
    ],
)
def test_what_is_no_budget_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "b.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(EdgeSerError, match=says):
        read_budget(path)


def test_a_missing_budget_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EdgeSerError, match="No such file"):
        read_budget(tmp_path / "none.toml")


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_kept_up_to_itself_and_broken_beyond(name: str) -> None:
    value: object = RUN
    for key in LIMITS[name][0]:
        value = value[key]  # type: ignore[index]
    assert check_budget(RUN, {name: value}) == []  # type: ignore[dict-item]
    assert check_budget(RUN, {name: value * 0.99}) == [f"{name} {value:g} > {value * 0.99:g}"]  # type: ignore[operator]


def test_what_is_not_a_number_breaks_every_limit() -> None:
    assert check_budget(RUN | {"duty_cycle": float("nan")}, {"duty_cycle": 1.0}) == ["duty_cycle nan > 1"]
