"""Downloads: from the first mirror that has the right file, into a cache that is checked."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from scenarios import extras
from scenarios.datasets import images
from scenarios.datasets.images import mnist
from scenarios.datasets.sources import DATA_VARIABLE, DownloadError, Source, download, find_folder
from scenarios.extras import MissingExtraError
from scenarios.running.command.cli import main
from scenarios.running.command.commands import COMMANDS
from tests.helpers import idx_files

pooch = pytest.importorskip("pooch", reason="the extra scenarios is not installed")
CONTENT = {"one.gz": b"first file", "two.gz": b"second file"}


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves a folder; the server counts the requests."""

    def log_message(self, *_):
        self.server.requests += 1


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache; no proxy and no data folder of the machine."""
    for name in (DATA_VARIABLE, "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "cache" / project)
    pooch.get_logger().setLevel("ERROR")
    return tmp_path / "cache" / "eventsim" / "tiny"


@pytest.fixture
def server(tmp_path):
    """A local mirror."""
    folder = tmp_path / "served"
    folder.mkdir()
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(QuietHandler, directory=str(folder))
    ) as running:
        running.folder, running.requests = folder, 0
        running.address = f"http://127.0.0.1:{running.server_port}/"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def source(*mirrors):
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
    return Source("Tiny", "tiny", digests, mirrors)


NOBODY = "http://127.0.0.1:9/"  # the discard port: nothing listens there


def test_what_is_missing_is_downloaded_once(server, cache):
    assert download(source(server.address)) == cache
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == CONTENT
    asked = server.requests
    download(source(server.address))
    assert server.requests == asked == 2


def test_a_cached_file_needs_no_network(server, cache):
    download(source(server.address))
    assert download(source(NOBODY)) == cache


def test_a_damaged_file_in_the_cache_is_replaced(server, cache):
    download(source(server.address))
    (cache / "two.gz").write_bytes(b"second fi")
    download(source(server.address))
    assert (cache / "two.gz").read_bytes() == CONTENT["two.gz"]


@pytest.mark.parametrize("first", [NOBODY, "broken/"])
def test_the_next_mirror_steps_in(server, cache, first):
    first = first if first == NOBODY else server.address + first
    download(source(first, server.address))
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == CONTENT


def test_without_a_network_the_error_says_what_to_do(cache):
    with pytest.raises(DownloadError) as caught:
        download(source(NOBODY, "http://127.0.0.1:10/"))
    words = str(caught.value)
    assert "one.gz of Tiny could not be downloaded" in words
    assert f"{NOBODY}one.gz: " in words
    assert "http://127.0.0.1:10/one.gz: " in words
    assert "Get the files one.gz, two.gz by other means" in words
    assert "--data-dir FOLDER or with the environment variable EVENTSIM_DATA" in words


def test_a_file_with_another_checksum_is_not_kept(server, cache):
    (server.folder / "two.gz").write_bytes(b"second file, altered")
    with pytest.raises(DownloadError, match=r"two\.gz of Tiny .*\n.*two\.gz: SHA256 hash of"):
        download(source(server.address))
    assert [path.name for path in cache.iterdir()] == ["one.gz"]


def test_a_file_that_the_mirror_does_not_have_is_named(server):
    (server.folder / "one.gz").unlink()
    with pytest.raises(DownloadError, match="404"):
        download(source(server.address))


def test_without_pooch_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(extras, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"downloading Tiny needs pooch.*\[scenarios\]"):
        download(source(NOBODY))


def test_mnist_comes_from_a_mirror_and_then_from_the_cache(server, monkeypatch):
    arrays = idx_files.write(server.folder)
    digests = {
        f"{name}.gz": hashlib.sha256((server.folder / f"{name}.gz").read_bytes()).hexdigest()
        for name in arrays
    }
    here = Source("MNIST", "mnist", digests, (server.address,))
    monkeypatch.setattr(images, "MNIST", here)
    assert (mnist()["train"].images == arrays["train-images-idx3-ubyte"]).all()
    monkeypatch.setattr(images, "MNIST", Source("MNIST", "mnist", digests, (NOBODY,)))
    assert (mnist()["test"].labels == arrays["t10k-labels-idx1-ubyte"]).all()


@pytest.mark.parametrize("data_set", [images.MNIST, images.FASHION_MNIST])
def test_every_published_file_has_a_digest_and_a_mirror(data_set):
    assert [name.removesuffix(".gz") for name in data_set.sha256] == list(idx_files.NAMES)
    assert all(len(bytes.fromhex(digest)) == 32 for digest in data_set.sha256.values())
    assert len(data_set.mirrors) == 2
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in data_set.mirrors)


def test_the_digests_are_those_of_the_published_files():
    folder = idx_files.PUBLISHED
    if not folder.is_dir():
        pytest.skip("EVENTSIM_DATA does not name the folder of the published files")
    for data_set in (images.MNIST, images.FASHION_MNIST):
        for name, digest in data_set.sha256.items():
            content = (folder / data_set.folder / name).read_bytes()
            assert hashlib.sha256(content).hexdigest() == digest


def test_a_failed_download_ends_the_command_without_a_traceback(capsys, monkeypatch):
    def fail(arguments):
        raise DownloadError("a.gz could not be downloaded")

    monkeypatch.setitem(COMMANDS, "list", fail)
    assert main(["list"]) == 1
    assert capsys.readouterr().err == "eventsim: error: a.gz could not be downloaded\n"


def test_an_empty_variable_is_no_folder(monkeypatch):
    monkeypatch.setenv(DATA_VARIABLE, "")
    assert find_folder("tiny", ["one.gz"]) is None


def test_a_data_folder_that_cannot_be_read_is_named():
    with pytest.raises(ValueError, match=r"the data folder x+ cannot be read: File name too long"):
        find_folder("tiny", ["one.gz"], "x" * 5000)
