"""Where the time of a training goes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Stopwatch", "session_note", "spent"]


@dataclass
class Stopwatch:
    """Where the time goes, in seconds."""

    seconds: dict[str, float] = field(
        default_factory=lambda: {"training steps": 0.0, "evaluation": 0.0}
    )

    def reset(self) -> None:
        """Forget what was counted."""
        self.seconds = dict.fromkeys(self.seconds, 0.0)

    def add(self, name: str, started: float) -> None:
        """Count the time since ``started`` (`time.perf_counter`) towards ``name``."""
        self.take({name: time.perf_counter() - started})

    def take(self, seconds: Mapping[str, float]) -> None:
        """Count seconds, some of which others may have measured."""
        for name, more in seconds.items():
            self.seconds[name] = self.seconds.get(name, 0.0) + more


def spent(watches: Iterable[Stopwatch]) -> dict[str, float]:
    """Return the sum of several stopwatches.

    Examples
    --------
    >>> spent([Stopwatch({"training steps": 1.0, "evaluation": 2.0})] * 2)
    {'training steps': 2.0, 'evaluation': 4.0}
    """
    each = [watch.seconds for watch in watches]
    names = dict.fromkeys(name for seconds in each for name in seconds)
    return {name: sum(seconds.get(name, 0.0) for seconds in each) for name in names}


def session_note(seconds: float, parts: Mapping[str, float]) -> str:
    """Say for a report where the seconds of a session went.

    Examples
    --------
    >>> session_note(9.0, {"training steps": 4.0, "evaluation": 3.0})
    'of 9 s in this session: training steps 4 s, evaluation 3 s, all else 2 s'
    >>> session_note(9.0, {"training steps": 12.0, "evaluation": 3.0})  # of several workers
    '9 s in this session; training steps 12 s, evaluation 3 s, added up over workers'
    """
    named = {
        ("training steps" if name == "training" else name): part for name, part in parts.items()
    }
    rest = seconds - sum(parts.values())
    if rest >= 0.0:
        named["all else"] = rest
    spent_on = ", ".join(f"{name} {part:.0f} s" for name, part in named.items())
    if rest < 0.0:
        return f"{seconds:.0f} s in this session; {spent_on}, added up over workers"
    return f"of {seconds:.0f} s in this session: {spent_on}"
