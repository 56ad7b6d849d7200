"""What tells one state of the source files from another."""

import hashlib
import sys
from functools import cache
from pathlib import Path

__all__ = ["digest_of_sources"]


@cache
def digest_of_sources(package: str) -> str:
    """Return a digest of all source files of an imported package, as they were when first asked.

    Examples
    --------
    >>> len(digest_of_sources("eventsim"))
    64
    """
    digest = hashlib.sha256()
    for folder in getattr(sys.modules.get(package), "__path__", ()):
        for path in sorted(Path(folder).rglob("*.py")):
            digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
