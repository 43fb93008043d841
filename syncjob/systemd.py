"""What systemd is told of a service of `Type=notify`: https://www.freedesktop.org/software/systemd/man/sd_notify.html"""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class Systemd:
    """systemd, if it started us; else nobody."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_seconds = int(environ.get("WATCHDOG_USEC", 0)) / 1e6 if ours and self._address else 0.0
        """How often it wants a sign of life; 0: it does not ask."""

    def tell(self, **facts: str) -> None:
        """Facts like READY="1" or STATUS="..."; a systemd that does not listen does not matter."""
        if self._address:
            text = "\n".join(f"{name}={value}" for name, value in facts.items())
            address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as gate, suppress(OSError):
                gate.sendto(text.encode(), address)
