"""The explorer on this machine: sends the files it was given from memory, and writes names, and nothing else.

It listens on 127.0.0.1 only. Any page in the browser may still try to reach it, so a request must be addressed to this
machine by name (against names that others let point here), and one that writes must come from the explorer's own page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Lock
from urllib.parse import urlsplit

from wherewhat_pl.errors import ConfigError, ModelError
from wherewhat_pl.explorer.build import ABOUT, latents_for_page, to_json
from wherewhat_pl.model import Latent
from wherewhat_pl.run.latents import FARTHEST, name_latent, read_latents

ADDRESS = "127.0.0.1"
PORT = 8765  #: the first that is tried
HOSTS = ("127.0.0.1", "localhost")
NAMES = "/latents"  #: where names are posted to
LARGEST = 4096  #: bytes of what is posted
LONGEST_NAME = 60
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
}


@dataclass
class Names:
    """The names of a model's latents, and the file that they stand in; for any number of threads.

    Attributes:
        latents: as they are called now.
        file: a run's ``latents.yaml``; None: the browser keeps names.
    """

    latents: list[Latent]
    file: Path | None = None
    _one_at_a_time: Lock = field(default_factory=Lock, init=False, repr=False, compare=False)

    def reread(self) -> None:
        """Take over what somebody did to the file by hand; what is wrong there the next start will say."""
        if self.file is None:
            return
        with self._one_at_a_time, suppress(ConfigError):
            self.latents = read_latents(self.file, len(self.latents))

    def give(self, said: object) -> None:
        """Name one latent; raises :class:`ConfigError` unless it is a position, a name, a sign and a range."""
        if self.file is None:
            raise ConfigError("names of this model are kept by the browser")
        if not isinstance(said, dict) or said.keys() != {"position", "name", "sign", "range"}:
            raise ConfigError("a latent is named by position, name, sign and range")
        position, name, sign, limits = (said[key] for key in ("position", "name", "sign", "range"))
        if type(position) is not int or not 0 <= position < len(self.latents):
            raise ConfigError("position: there is no such latent")
        if not isinstance(name, str) or not name.isprintable() or len(name) > LONGEST_NAME:
            raise ConfigError(f"name: must be one line of at most {LONGEST_NAME} letters")
        within = isinstance(limits, list) and [type(x) in (int, float) and abs(x) <= FARTHEST for x in limits]
        if type(sign) is not int or within != [True, True]:
            raise ConfigError(f"sign must be 1 or -1, range two numbers from -{FARTHEST} to {FARTHEST}")
        latent = Latent(name.strip() or f"latent {position}", sign, float(limits[0]), float(limits[1]))
        with self._one_at_a_time:  # between reading the file and writing it another name would be lost
            self.latents = name_latent(self.file, len(self.latents), position, latent)


class ExplorerServer(ThreadingHTTPServer):
    """Sends an explorer's files.

    Args:
        files: by name; ``meta.json`` is made when it is asked for.
        about: what ``meta.json`` says beside the names.
        names: of the latents.
        port: 0: any free one.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, files: Mapping[str, bytes], about: Mapping[str, object], names: Names, port: int = 0) -> None:
        self.files, self.about, self.names = files, about, names
        super().__init__((ADDRESS, port), Handler)

    def server_bind(self) -> None:
        """As any server does; the one for HTTP would also look up the machine's name, which may ask the network."""
        TCPServer.server_bind(self)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.server_address[1]}/"

    def content(self, path: str) -> tuple[str, bytes] | None:
        """Type and bytes of a file by the path of a request; None: there is no such file."""
        name = urlsplit(path).path.removeprefix("/") or "index.html"
        if name == ABOUT:
            self.names.reread()
            content = to_json({**self.about, "latents": latents_for_page(self.names.latents)})
        elif name in self.files:
            content = self.files[name]
        else:
            return None
        return TYPES.get(Path(name).suffix, "application/octet-stream"), content


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ExplorerServer
    server_version, sys_version = "explorer", ""
    timeout = 60

    def do_GET(self) -> None:
        if not self._for_this_machine():
            return self._say(HTTPStatus.FORBIDDEN, "this address is not the explorer's")
        found = self.server.content(self.path)
        if found is None:
            return self._say(HTTPStatus.NOT_FOUND, "no such file")
        return self._send(HTTPStatus.OK, *found)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        if not self._for_this_machine() or self.headers.get("Origin") != f"http://{self.headers.get('Host')}":
            return self._say(HTTPStatus.FORBIDDEN, "names are taken from the explorer's own page only")
        if self.path != NAMES:
            return self._say(HTTPStatus.NOT_FOUND, "nothing is taken here")
        if self.headers.get_content_type() != "application/json":
            return self._say(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is wanted")
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > LARGEST:
            return self._say(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {LARGEST} bytes are taken")
        try:
            self.server.names.give(json.loads(self.rfile.read(int(length))))
        except (ConfigError, ModelError) as error:
            return self._say(HTTPStatus.BAD_REQUEST, str(error))
        except (ValueError, RecursionError):
            return self._say(HTTPStatus.BAD_REQUEST, "this is no JSON")
        except OSError as error:
            return self._say(HTTPStatus.INTERNAL_SERVER_ERROR, f"{self.server.names.file}: {error.strerror}")
        latents = latents_for_page(self.server.names.latents)
        return self._send(HTTPStatus.OK, TYPES[".json"], to_json({"latents": latents}))

    def _for_this_machine(self) -> bool:
        """Whether it is addressed to this machine, by whatever port (a tunnel has another one)."""
        try:
            return urlsplit(f"//{self.headers.get('Host', '')}").hostname in HOSTS
        except ValueError:
            return False

    def _say(self, status: HTTPStatus, sentence: str) -> None:
        self.close_connection = True  # what was posted has perhaps not been read
        self._send(status, TYPES[".txt"], f"{sentence}\n".encode())

    def _send(self, status: HTTPStatus, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")  # another model may be shown at the same port next time
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is the user's."""


def serve(make: Callable[[int], ExplorerServer], port: int | None) -> ExplorerServer:
    """A server at a port, or at the first free one from :data:`PORT` on.

    Raises:
        ConfigError: that port is taken.
    """
    for candidate in range(PORT, PORT + 20) if port is None else [port]:
        try:
            return make(candidate)
        except (OSError, OverflowError):
            continue
    wanted = f"port={port}" if port is not None else f"port={PORT} to {PORT + 19}"
    raise ConfigError(f"{wanted}: is taken or not allowed; port=0 takes any that is free")
