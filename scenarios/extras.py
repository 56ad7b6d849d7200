"""Libraries that only some users have: asked for by name, with the command that installs them."""

from __future__ import annotations

from importlib.util import find_spec

from eventsim._support.extras import advice

__all__ = ["MissingExtraError", "require", "require_engine"]


class MissingExtraError(RuntimeError):
    """An optional library is not installed."""


def require(extra: str, modules: tuple[str, ...], purpose: str) -> None:
    """Check that the libraries of an extra can be imported.

    Parameters
    ----------
    extra : str
        The extra of this distribution that installs them.
    modules : tuple of str
        What must be there.
    purpose : str
        What needs them; begins the message.

    Raises
    ------
    MissingExtraError
        If one is missing, with the command that installs it.

    Examples
    --------
    >>> require("torch", ("no_such_library",), "the comparison")
    Traceback (most recent call last):
        ...
    scenarios.extras.MissingExtraError: the comparison needs no_such_library, which is not
    installed; install the extra "torch": pip install 'eventsim-snn[torch]'
    """
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingExtraError(
            f"{purpose} needs {', '.join(missing)}, which {verb} not installed; {advice(extra)}"
        )


def require_engine(engine: str) -> None:
    """Check that this machine has what an engine needs: an NVIDIA GPU, for "cuda".

    Raises
    ------
    MissingExtraError
        If it has not, with what is missing.
    """
    if engine != "cuda":
        return
    from eventsim import cuda  # late: an extra, slow to import

    if cuda.device_obstacle():
        raise MissingExtraError(
            '--engine cuda needs an NVIDIA GPU, its driver and the extra "cuda" '
            "(pip install 'eventsim-snn[cuda]'), and no device is found here; without this option "
            "the run gives the same on processors"
        )
