"""Libraries that are extras: imported where they are needed, or named with what installs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["advice", "extra"]


def advice(name: str) -> str:
    r"""Return how to install an extra.

    Examples
    --------
    >>> advice("io")
    'install the extra "io": pip install \'eventsim-snn[io]\''
    """
    return f"install the extra \"{name}\": pip install 'eventsim-snn[{name}]'"


@contextmanager
def extra(name: str, need: str) -> Iterator[None]:
    """Import within the context what an extra installs.

    Parameters
    ----------
    name : str
        The extra.
    need : str
        Who needs it, and the verb; begins the message.

    Raises
    ------
    ImportError
        If a library is not installed, with the command that installs it.

    Examples
    --------
    >>> with extra("io", "a table needs"):
    ...     import no_such_library
    Traceback (most recent call last):
        ...
    ImportError: a table needs no_such_library, which is not installed; install the extra "io":
    pip install 'eventsim-snn[io]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(f"{need} {error.name}, which is not installed; {advice(name)}") from error
