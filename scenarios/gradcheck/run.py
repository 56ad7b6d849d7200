"""The scenario gradcheck: what is run, and what is reported."""

from __future__ import annotations

import math
from pathlib import Path

from scenarios.gradcheck.config import GradcheckOptions
from scenarios.gradcheck.study import MARGIN, Check, Study, study
from scenarios.running.console.progress import Progress
from scenarios.running.report import Report, Row, write

__all__ = ["DisagreementError", "run"]


class DisagreementError(Exception):
    """An exact gradient and a central difference that is good enough to tell disagree."""


def run(config: GradcheckOptions, folder: Path, progress: Progress) -> Report:
    """Compare the derivatives by all parameters; return the table and the picture.

    Raises
    ------
    DisagreementError
        If a derivative is further from its central difference than that can be off; the report is
        in the folder then.
    """
    results = study(config, folder, progress)
    report = _report(config, results)
    wrong = [f"{check.title}[{check.entries[k]}] is {check.exact[k]:.12g}, the difference "
             f"{check.found[k].slope:.12g}, good to {MARGIN * check.found[k].error:.0e}"
             for check in results.checks for k in check.wrong]  # fmt: skip
    if wrong:
        write(report, folder)
        others = f", and {len(wrong) - 1} others" if len(wrong) > 1 else ""
        raise DisagreementError(
            f"exact gradients and differences disagree: by {wrong[0]}{others}; all are in "
            f"{folder / 'report.html'}"
        )
    return report


def _report(config: GradcheckOptions, results: Study) -> Report:
    from scenarios.gradcheck.figures import errors_by_step

    known = sum(len(check.entries) - check.n_unknown for check in results.checks)
    total = sum(len(check.entries) for check in results.checks)
    every = sum(check.size for check in results.checks)
    return Report(
        title=f"Exact gradients beside central differences, {config.neurons} recurrent neurons, "
        f"seed {config.seed}",
        headings=("difference", "exact", "error ≤ limit", "step"),
        rows=[_row(check) for check in results.checks],
        notes=[
            "each line is the entry, in brackets, at which the two differ most, with the step at "
            "which the difference is best",
            "error: relative to the largest derivative by that parameter; limit: what the "
            "differences themselves say that they are good to",
            f"{known} of the derivatives by {every} numbers were compared"
            + _left_out(known, total),
            f"{results.n_spikes} spikes; the smallest dV/dt at one is {results.min_slope:.2g}",
        ],
        numbers={"parameters": {check.title: _numbers(check) for check in results.checks}},
        figures={"errors": errors_by_step(results.checks)},
    )


def _left_out(known: int, total: int) -> str:
    if known == total:
        return ""
    return f"; by {total - known} others, spikes appear or vanish at steps however small"


def _row(check: Check) -> Row:
    k, found = check.worst, check.found[check.worst]
    error, limit = check.off[k] / check.scale, MARGIN * found.error / check.scale
    name = f"{check.title}[{check.entries[k]}]"
    if math.isnan(error):
        return Row(name, "–", f"{check.exact[k]:.9g}", ("–", "–"))
    return Row(
        name,
        f"{found.slope:.9g}",
        f"{check.exact[k]:.9g}",
        (f"{error:.0e} ≤ {limit:.0e}" if error <= limit else f"{error:.0e} > {limit:.0e}",
         f"{found.step:.0e}"),
    )  # fmt: skip


def _numbers(check: Check) -> dict[str, object]:
    return {
        "size": check.size,
        "entries": check.entries,
        "exact": check.exact.tolist(),
        "differences": [one.slope for one in check.found],
        "errors": check.off.tolist(),
        "good_to": [one.error for one in check.found],
        "best_steps": [one.step for one in check.found],
    }
