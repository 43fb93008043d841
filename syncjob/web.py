"""A small web server on a thread of its own, for a WSGI application that answers at once."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, TypeAlias
from weakref import WeakKeyDictionary

from syncjob.core.errors import ConfigError

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], Any]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
MOST_BYTES = 1_000_000
MOST_SECONDS = 15
"""How long a request may take to arrive, however busily it trickles, and how long a connection may be idle. Both vendors send
a hint at once, and wait no longer for its answer."""
MOST_CONNECTIONS = 200


def address(text: str, flag: str) -> tuple[str, int]:
    """Host and port of `[HOST:]PORT`; loopback if no host is named. Raises ConfigError."""
    host, _, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not int(port) < 65536:
        raise ConfigError(f"{flag} {text}: not an address", hint=f"give a port, or host:port, like {flag} 127.0.0.1:8080")
    return host.strip("[]") or LOOPBACK[0], int(port)


@contextmanager
def serving(application: Application, text: str, *, flag: str, extra: str) -> Iterator[str]:
    """Serve for the length of a `with`, which gets the address. Raises ConfigError when that cannot be."""
    host, port = address(text, flag)
    server = _listen(application, host, port, flag, extra)
    thread = threading.Thread(target=server.run, name=flag, daemon=True)
    thread.start()
    try:
        yield f"http://{f'[{host}]' if ':' in host else host}:{server.effective_port}"
    finally:
        server.stop()
        thread.join(2)


def _listen(application: Application, host: str, port: int, flag: str, extra: str) -> Any:
    try:
        from waitress.adjustments import Adjustments
        from waitress.server import TcpWSGIServer
    except ImportError:
        raise ConfigError(f"{flag} needs a package that is not installed", hint=f"pip install 'syncjob[{extra}]'") from None

    class Server(TcpWSGIServer):  # type: ignore[misc]
        """Closes connections whose request takes too long; waitress itself spares those that still send a byte now and then."""

        begun: ClassVar[WeakKeyDictionary[Any, float]] = WeakKeyDictionary()

        def maintenance(self, now: float) -> None:
            for channel in self.active_channels.values():
                since = self.begun.setdefault(channel.request, now) if channel.request else channel.last_activity
                if not channel.requests and since < now - MOST_SECONDS:
                    channel.will_close = True

        def stop(self) -> None:
            """End `run`, from any thread. It may be awake, and must not close the trigger before that was pulled to its end: what is
            written then would go wherever the number of its descriptor is used next."""
            self.task_dispatcher.shutdown()
            pulling = threading.Lock()

            def close() -> None:
                with pulling:
                    self.asyncore.close_all(self._map)

            with pulling:
                self.trigger.pull_trigger(close)

    rules = Adjustments(
        ident=None, threads=2, max_request_body_size=MOST_BYTES + 1, inbuf_overflow=2 * MOST_BYTES, max_request_header_size=16_384,
        connection_limit=MOST_CONNECTIONS, cleanup_interval=1, sockets=[(door := _door(host, port, flag))],
    )  # fmt: skip
    return Server(application, adj=rules, _sock=door, bind_socket=False, sockinfo=(door.family, door.type, door.proto, door.getsockname()))


def _door(host: str, port: int, flag: str) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"{flag}: cannot listen at {host}:{port} ({error.strerror})", hint="choose another port or host") from None


def answer(start: StartResponse, status: str, text: str = "", kind: str = "text/plain; charset=utf-8") -> list[bytes]:
    """A short answer."""
    body = text.encode()
    start(status, [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")])
    return [body]
