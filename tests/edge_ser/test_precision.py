"""bfloat16 where a processor has it, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

torch = pytest.importorskip("torch")

from edge_ser import precision  # noqa: E402


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    precision.computes_bfloat16.cache_clear()
    yield
    precision.computes_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("flags", "computes"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({"neon": True, "num_logical_cores": 4, "cpu_name": "bf16"}, False),
    ],
)
def test_a_processor_is_asked(
    flags: dict[str, bool | int | str], computes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    assert precision.computes_bfloat16() is computes
    layer, x = torch.nn.Linear(8, 8), torch.randn(2, 8)
    for wanted in (True, False):
        with precision.bfloat16(wanted=wanted):
            made = layer(x).dtype
        assert made == (torch.bfloat16 if computes and wanted else torch.float32)


def test_this_processor_answers() -> None:
    assert isinstance(precision.computes_bfloat16(), bool)
