"""HTTP/1.1 on the loopback interface: a thin edge around `respond`."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .exchange import ConnectionReset, Hang, Request, Response

Respond = Callable[[Request], Response]
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of zero seconds: close sends RST


class Server:
    """Serves from the moment it exists until `stop`."""

    def __init__(self, respond: Respond, port: int = 0) -> None:
        self._http = _LoopbackServer(("127.0.0.1", port), respond)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="sandbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close every connection, also slow and hanging ones, and free the port."""
        self._http.stopping.set()
        self._http.shutdown()
        self._thread.join()
        self._http.close_connections()
        self._http.server_close()


class _LoopbackServer(ThreadingHTTPServer):
    daemon_threads = False  # server_close waits for them; close_connections makes them end
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        self.respond = respond
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        super().__init__(address, _Connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End every connection that a client keeps open."""
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # the client was faster
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Quiet: a client that goes away in the middle is what faults are for."""


class _Connection(BaseHTTPRequestHandler):
    """One connection: reads requests, sends each answer in one piece, so that no delayed ACK slows it down."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _LoopbackServer

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request.read(self.command, self.path, dict(self.headers.items()), body)
        try:
            self._send(self.server.respond(request))
        except ConnectionReset as reset:
            self._break_off(reset)
        except Hang:
            self._hang()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

    def _send(self, response: Response) -> None:
        if response.pace:
            self._trickle(response)
            return
        self.connection.sendall(_head(response) + response.body)
        for _ in range(response.repeat - 1):
            if self.server.stopping.is_set():
                break
            self.connection.sendall(response.body)

    def _trickle(self, response: Response) -> None:
        self.connection.sendall(_head(response))
        for byte in response.body:
            if self.server.stopping.wait(response.pace):
                break
            self.connection.sendall(bytes([byte]))

    def _break_off(self, reset: ConnectionReset) -> None:
        if reset.response is not None:
            self.connection.sendall(_head(reset.response) + reset.response.body[: reset.sent])
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.connection.close()
        self.close_connection = True

    def _hang(self) -> None:
        self.connection.settimeout(0.05)
        while not self.server.stopping.is_set():
            try:
                if not self.connection.recv(1):  # the client gave up
                    break
            except TimeoutError:
                continue
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def _head(response: Response) -> bytes:
    phrase = HTTPStatus(response.status).phrase
    headers = {**response.headers, "Content-Length": str(len(response.body) * response.repeat)}
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
