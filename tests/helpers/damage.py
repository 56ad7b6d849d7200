"""Files for tests that damage them.

To write over a file makes some file systems wait for the disk, so each is written anew.
"""

import shutil

from hypothesis import strategies as st


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


damages = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.integers(0, 2**14), st.integers(0, 7)),
        st.tuples(st.just("replace"), st.integers(0, 2**14), st.binary(max_size=8)),
        st.tuples(st.just("remove"), st.integers(0, 2**14), st.integers(1, 64)),
        st.tuples(st.just("insert"), st.integers(0, 2**14), st.binary(max_size=8)),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content, damage):
    """Return a content after some of the `damages`."""
    content = bytearray(content)
    for kind, place, what in damage:
        k = place % max(len(content), 1)
        if kind == "flip" and content:
            content[k] ^= 1 << what
        elif kind == "replace":
            content[k : k + len(what)] = what
        elif kind == "remove":
            del content[k : k + what]
        elif kind == "insert":
            content[k:k] = what
    return bytes(content)
