"""The explorer's server sends what it was given and writes what one latent is called, and only for its own page."""

import http.client
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from wherewhat_pl.errors import ConfigError
from wherewhat_pl.explorer.server import LARGEST, ExplorerServer, Names, serve
from wherewhat_pl.model import Latent
from wherewhat_pl.run.latents import read_latents

FILES = {"index.html": b"<p>page", "main.js": b"1", "onnxruntime_web/ort.js": b"2", "model.onnx": b"\x08"}
GOOD = {"position": 1, "name": "floor hue", "sign": -1, "range": [-1, 2.5]}


@pytest.fixture
def file(tmp_path):
    """A run's latents.yaml, which names one latent already."""
    (tmp_path / "latents.yaml").write_text("0: size\n")
    return tmp_path / "latents.yaml"


@pytest.fixture
def server(file):
    names = Names([Latent("size"), Latent("latent 1"), Latent("latent 2")], file)
    with ExplorerServer(FILES, {"title": "t", "order": [2, 0, 1]}, names) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(server):
    """A function: method, path, body, headers -> status, content type, content."""
    port = server.server_address[1]

    def send(method, path, body=None, **headers):
        own = {"Host": f"127.0.0.1:{port}"}
        if method == "POST":
            own |= {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.putrequest(method, path, skip_host=True)
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        given = own | {key.replace("_", "-"): value for key, value in headers.items()}
        for key, value in ({"Content-Length": str(len(content))} | given).items():
            if value is not None:
                connection.putheader(key, value)
        connection.endheaders(content)
        answer = connection.getresponse()
        found = answer.status, answer.getheader("Content-Type"), answer.read()
        connection.close()
        return found

    return send


def test_files_come_with_the_types_that_browsers_ask_for(ask):
    assert ask("GET", "/") == (200, "text/html; charset=utf-8", b"<p>page")
    assert ask("GET", "/main.js?x=1")[1:] == ("text/javascript; charset=utf-8", b"1")
    assert ask("GET", "/onnxruntime_web/ort.js")[2] == b"2"
    assert ask("GET", "/model.onnx")[1:] == ("application/octet-stream", b"\x08")
    assert ask("HEAD", "/main.js")[2] == b""


@pytest.mark.parametrize(
    "path",
    ["/../latents.yaml", "/%2e%2e/latents.yaml", "//etc/passwd", "/etc/passwd", "/latents.yaml", "/main.js/", "/."],
)
def test_nothing_else_is_sent(ask, path):
    assert ask("GET", path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:80", "", "[", None])
def test_a_page_that_lets_its_name_point_here_reads_and_writes_nothing(ask, file, host):
    assert ask("GET", "/", Host=host)[0] == 403
    assert ask("POST", "/latents", GOOD, Host=host, Origin=f"http://{host}")[0] == 403
    assert file.read_text() == "0: size\n"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
def test_another_page_cannot_write(ask, file, origin):
    assert ask("POST", "/latents", GOOD, Origin=origin)[0] == 403
    assert file.read_text() == "0: size\n"


def test_a_tunnel_from_another_port_can_read_and_write(ask):
    there = {"Host": "localhost:9000", "Origin": "http://localhost:9000"}
    assert ask("GET", "/", Host="localhost:9000")[0] == 200
    assert ask("POST", "/latents", GOOD, **there)[0] == 200


def test_a_name_stands_in_the_file_and_in_what_the_page_is_told(ask, file):
    status, _, content = ask("POST", "/latents", GOOD)
    assert status == 200
    assert file.read_text() == "0: size\n1: {name: floor hue, sign: -1, range: [-1.0, 2.5]}\n"
    told = json.loads(ask("GET", "/meta.json")[2])
    assert told["latents"] == json.loads(content)["latents"]
    assert told["latents"][1] == {"name": "floor hue", "sign": -1, "range": [-1.0, 2.5]}
    assert (told["title"], told["order"]) == ("t", [2, 0, 1])
    assert ask("POST", "/latents", GOOD | {"name": "", "sign": 1, "range": [-2, 2]})[0] == 200  # as it was: out again
    assert file.read_text() == "0: size\n"


def test_what_was_written_by_hand_meanwhile_stays(ask, file):
    file.write_text("2: wall hue\n")
    assert ask("POST", "/latents", GOOD)[0] == 200
    told = json.loads(ask("GET", "/meta.json")[2])
    assert [latent["name"] for latent in told["latents"]] == ["latent 0", "floor hue", "wall hue"]


def test_a_file_that_was_deleted_by_hand_names_nothing(ask, file):
    file.unlink()
    told = json.loads(ask("GET", "/meta.json")[2])
    assert [latent["name"] for latent in told["latents"]] == ["latent 0", "latent 1", "latent 2"]
    assert ask("POST", "/latents", GOOD)[0] == 200
    assert file.read_text() == "1: {name: floor hue, sign: -1, range: [-1.0, 2.5]}\n"


def test_names_given_at_the_same_time_all_stay(tmp_path):
    file = tmp_path / "latents.yaml"
    names = Names([Latent(f"latent {k}") for k in range(8)], file)
    said = [{"position": k, "name": f"n{k}", "sign": 1, "range": [-1, 1]} for k in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(names.give, said))
    assert read_latents(file, 8) == names.latents == [Latent(f"n{k}", 1, -1, 1) for k in range(8)]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"position": 3}, "position"),
        ({"position": True}, "position"),
        ({"position": "1"}, "position"),
        ({"name": "size"}, "two latents"),
        ({"name": "7"}, "position"),
        ({"name": "a\nb: c"}, "one line"),
        ({"name": "x" * 61}, "60"),
        ({"name": ["a"]}, "name"),
        ({"sign": 2}, "sign"),
        ({"sign": True}, "sign"),
        ({"range": [2, -2]}, "range"),
        ({"range": [0, 1e9]}, "range"),
        ({"range": [float("nan"), 1]}, "range"),
        ({"range": [0, 10**400]}, "range"),
        ({"range": 5}, "range"),
        ({"more": 1}, "position, name, sign and range"),
    ],
)
def test_what_names_no_latent_is_refused_in_a_line_and_not_written(ask, file, change, word):
    status, _, said = ask("POST", "/latents", GOOD | change)
    assert status == 400
    assert word in said.decode()
    assert said.count(b"\n") == 1
    assert file.read_text() == "0: size\n"


def test_what_is_no_json_or_too_much_is_refused(ask, file):
    assert ask("POST", "/latents", b"{")[0] == 400
    assert ask("POST", "/latents", b"[" * 4000)[0] == 400
    assert ask("POST", "/latents", b"[1]")[0] == 400
    assert ask("POST", "/latents", b" " * (LARGEST + 1))[0] == 413
    assert ask("POST", "/latents", GOOD, Content_Length="-1")[0] == 413
    assert ask("POST", "/latents", GOOD, Content_Type="text/plain")[0] == 415
    assert ask("POST", "/main.js", GOOD)[0] == 404
    assert file.read_text() == "0: size\n"


def test_a_taken_port_is_said_and_without_one_the_next_is_used(server):
    def make(port):
        return ExplorerServer({}, {}, Names([]), port)

    with pytest.raises(ConfigError, match="taken"):
        serve(make, server.server_address[1])
    with serve(make, None) as one, serve(make, None) as other:
        assert one.url != other.url
