"""Files for tests that damage them.

To write over a file makes some file systems wait for the disk, so each is written anew.
"""

import shutil


def put(path, content):
    """Write a file anew."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)


def flip(path, place, bit):
    """Flip a bit of a file; a place beyond its end is counted from its start again."""
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    put(path, content)


def emptied(folder):
    """Return the folder, new."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
