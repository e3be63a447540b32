"""An isolated world for every test: own home, own cache, no network, plugins made on the spot."""

from __future__ import annotations

import importlib
import ipaddress
import socket
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class MakePlugin(Protocol):
    """Makes a distribution `dist` with an entry point, installed for this test."""

    def __call__(self, dist: str, files: Mapping[str, str], module: str = "") -> Path: ...


@pytest.fixture(scope="session")
def shared_specs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Specs of installed plugins, computed once a test process rather than once a test."""
    return tmp_path_factory.mktemp("specs")


@pytest.fixture(autouse=True)
def isolated_world(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, shared_specs: Path
) -> Path:
    """Own home, cache and config; nothing of the user's environment reaches a test."""
    home = tmp_path_factory.mktemp("home")
    cache = home / "cache"
    cache.mkdir()
    (cache / "specs").symlink_to(shared_specs)
    for name in ("IMGTOOL_PLUGINS", "IMGTOOL_PLUGIN_TIMEOUT", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("IMGTOOL_CACHE", str(cache))
    monkeypatch.setenv("IMGTOOL_CONFIG", str(home / "config"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    return home


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection but those to this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise ConnectionRefusedError(f"tests have no network: {address[0]}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
def own_specs(isolated_world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec cache of this test alone, empty; gives its folder."""
    cache = isolated_world / "cache-of-one-test"
    monkeypatch.setenv("IMGTOOL_CACHE", str(cache))
    return cache / "specs"


@pytest.fixture
def make_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakePlugin]:
    """A factory of tiny real distributions; their modules are forgotten after the test."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    before = set(sys.modules)

    def make(dist: str, files: Mapping[str, str], module: str = "") -> Path:
        package = dist.replace("-", "_")
        root = site / package
        root.mkdir()
        for name, text in {"__init__.py": "", **files}.items():
            (root / name).write_text(textwrap.dedent(text), encoding="utf-8")
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {dist}\nVersion: 1.0\n")
        entry = f"[imgtool]\n{package} = {module or f'{package}.plugin'}\n"
        (info / "entry_points.txt").write_text(entry)
        importlib.invalidate_caches()
        return root

    yield make
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "") or "").startswith(str(site)):
            del sys.modules[name]
