"""Words to systemd: that the service runs, that it still does, and what it hears (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

__all__ = ["Notifier"]


class Notifier:
    """Talks to the service manager where there is one, and does nothing elsewhere.

    Parameters
    ----------
    environment : mapping
        ``NOTIFY_SOCKET`` names the manager's socket, ``WATCHDOG_USEC`` how often it wants to hear from us.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._every_s = int(environment.get("WATCHDOG_USEC") or 0) / 3e6  # three times as often as asked
        self._said_at = 0.0
        self._ready = False

    def alive(self, heard: bool) -> None:
        """Say that the listener's loop goes round, and the first time that audio was `heard` that the service is ready.

        A microphone that cannot be opened, or gives nothing, is told after a while of waiting. Whoever starts the
        service has to see that it does not start, so waiting alone is not being ready.
        """
        if not self._address:
            return
        if heard and not self._ready:
            self._ready = True
            self.say("READY=1")
        now = time.monotonic()
        if self._every_s and now - self._said_at >= self._every_s:
            self._said_at = now
            self.say("WATCHDOG=1")

    def say(self, words: str) -> None:
        """Send a line; a manager that does not take it is told the next one."""
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link:
            link.setblocking(False)
            with contextlib.suppress(OSError):
                link.sendto(words.encode(), address)
