"""A failing disk for the real node: the page that tests/support/disk_faults.c, preloaded into it, looks at."""

import mmap
import struct

from . import places

# As in tests/support/disk_faults.c.
KINDS = ("read_error", "read_garbled", "write_error", "write_torn", "write_lost", "sync_error", "journal_full")
COUNTS_AT = 4 * len(KINDS)
RANDOM_AT = 8 * len(KINDS)


class DiskFaults:
    """Nothing fails until set(); chances are of one operation each. One node at a time."""

    def __init__(self, path, seed):
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        struct.pack_into("<Q", self._page, RANDOM_AT, seed)
        library = places.build_directory() / "tests" / "disk_faults.so"
        assert library.exists(), f"{library} is missing: build it"
        self.environment = {"LD_PRELOAD": str(library), "VIGNETTE_DISK_FAULTS": str(path)}

    def set(self, **chances):
        """Those that are not named do not happen."""
        values = [round(1_000_000 * chances.pop(kind, 0)) for kind in KINDS]
        assert not chances, f"no such faults: {chances}"
        struct.pack_into(f"<{len(KINDS)}I", self._page, 0, *values)

    def counts(self):
        """How often each has happened."""
        return dict(zip(KINDS, struct.unpack_from(f"<{len(KINDS)}I", self._page, COUNTS_AT)))
