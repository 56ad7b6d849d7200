"""The scenarios, by name.  To add one: write its folder and list it here."""

from __future__ import annotations

import difflib
import importlib
import inspect
from dataclasses import dataclass
from typing import Any

from scenarios.running.options import Options

__all__ = ["SCENARIOS", "Scenario", "find"]


@dataclass(frozen=True)
class Scenario:
    """One experiment: where it is written, and what it does, in one line.

    Attributes
    ----------
    name : str
        What the user types.
    summary : str
        One line for ``eventsim list``.
    source : str
        The publication that it reproduces.
    large : bool
        Whether it fills the memory with one network: then what is freed goes back to the system.
    pieces : bool
        Whether there is something for several workers to do at once.
    """

    name: str
    summary: str
    source: str
    large: bool = False
    pieces: bool = True

    def module(self) -> Any:
        """Import what runs the scenario: it has a function `run`."""
        return importlib.import_module(f"scenarios.{self.name}.run")

    def options(self) -> type[Options]:
        """Import its options: those of the scenario yin_yang are called `YinYangOptions`."""
        words = "".join(word.capitalize() for word in self.name.split("_"))
        config = importlib.import_module(f"scenarios.{self.name}.config")
        kind: type[Options] = getattr(config, f"{words}Options")
        return kind

    def about(self) -> str:
        """Return what the scenario says about itself."""
        return inspect.getdoc(self._package()) or ""

    def task(self) -> str:
        """Return what is to be done, for readers who know nothing of it."""
        task: str = self._package().TASK
        return task

    def pictures(self) -> dict[str, str]:
        """Return a sentence for each picture that it may draw: what to see."""
        pictures: dict[str, str] = self._package().PICTURES
        return pictures

    def _package(self) -> Any:
        return importlib.import_module(f"scenarios.{self.name}")


LEE = "Lee, Haghighatshoar & Karbasi 2023"
YAMAMOTO = "Yamamoto, Sakemi & Aihara"
ZHANG = "Zhang et al. 2021"
CHOWDHURY = "Chowdhury, Lee & Roy 2020"
CLOCKS = "the clocks of Gerum & Schilling 2022, and of Chowdhury, Lee & Roy"
GERUM = "Gerum & Schilling 2022"
TEETER = "the after-spike currents of Teeter et al. 2018 (GLIF3)"
POTJANS = "Potjans & Diesmann 2014"
BRETTE = "Brette et al. 2007, benchmark 2"
BRUNEL = "Brunel 2000, Fig. 8"
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(  # its networks are trained side by side as it is
            "xor", "XOR of two spike times, from many random initialisations", LEE + ", §5.1",
            pieces=False,
        ),
        Scenario("iris", "Iris flowers, over one documented and 20 random splits", LEE + ", §5.2"),
        Scenario("yin_yang", "Yin-Yang picture: 5000 points, three classes", LEE + ", §5.3"),
        Scenario("mnist", "MNIST digits by potentials of a multi-spike network", YAMAMOTO),
        Scenario("fashion_mnist", "Fashion-MNIST clothing by the same network", YAMAMOTO),
        Scenario("stdbp", "MNIST digits by the first spike, dense or convolutional", ZHANG),
        Scenario("coherence", "What leak lets through: theory and simulations", CHOWDHURY + ", §7"),
        Scenario("leak_exact", "Leak and noisy input spikes, exact gradients", CHOWDHURY + ", §4"),
        Scenario("leak", "Deep clocked networks with and without leak, under noise", CHOWDHURY),
        Scenario("clock", "Clocked spikes and surrogate gradients beside the exact ones", CLOCKS),
        Scenario("compare", "Exact against surrogate gradients, trained alike", LEE + ", Fig. 5"),
        Scenario("gradcheck", "Exact gradients beside central differences", LEE + ", Eq. 10"),
        Scenario("cuba", "Excitation and inhibition in balance, beside NEST and Brian2", BRETTE,
                 pieces=False),
        Scenario("brunel", "Four regimes of a sparse network, without a grid", BRUNEL),
        Scenario("microcircuit", "The cortical microcircuit, off the grid", POTJANS, large=True,
                 pieces=False),
        Scenario("adaptation", "Adaptation learnt from spikes, by exact gradients", TEETER),
        Scenario("flowers", "Flowers by clocked LIF units before an LSTM, fed by columns", GERUM),
    )
}  # fmt: skip


def find(name: str) -> Scenario:
    """Return the scenario called ``name``.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest.

    Examples
    --------
    >>> find("xor").source
    'Lee, Haghighatshoar & Karbasi 2023, §5.1'
    """
    if name in SCENARIOS:
        return SCENARIOS[name]
    near = difflib.get_close_matches(name.replace("-", "_"), SCENARIOS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)}, got {name!r}{hint}")
