"""``edge-ser evaluate``: its bar."""

from collections.abc import Iterator

from edge_ser.commands.evaluate import _progress


def test_what_is_made_on_the_way_is_taken_when_its_turn_comes() -> None:
    """Joined recordings come beside a model that is open only until the next fold's."""
    open_now: list[str] = []

    def recordings() -> Iterator[str]:
        for fold in ("first", "second"):
            open_now.append(fold)
            yield fold
            open_now.remove(fold)

    heard = []
    for fold in _progress(recordings()):
        assert open_now == [fold]
        heard.append(fold)
    assert heard == ["first", "second"] and not open_now
