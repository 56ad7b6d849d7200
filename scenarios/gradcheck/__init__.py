"""
Exact gradients of a recurrent network beside central differences.

A network at random: recurrent, with a delay for each synapse, neurons that differ in all their
parameters, have several receptors and begin with currents and potentials of their own.  The loss is
a sum of all spike times and of the potentials at the end, each times a number drawn at random.  Its
derivatives by all parameters come from one sweep backward in time (`gradients.timing_backprop`);
each is set beside (L(p + h) - L(p - h)) / 2h for steps h from 0.1 to 1e-11.

A central difference errs in two ways: it leaves out terms of the order h² (truncation), and the
digits that the two losses have in common are lost (rounding, of the order 1/h).  So its error falls
with the step, and rises again: the picture shows both branches.  What a difference is good to, and
at which step it is best, is told from the differences alone, without a look at the exact gradient:
by how much it differs from those at the next larger and smaller step, plus the rounding, which the
smallest steps show.  An exact gradient that is further off than that ends the run with an error.

A step that is so large that a spike appears or vanishes is left out: the loss jumps there.

Published: no such table.
"""

__all__ = ["PICTURES", "TASK"]

TASK = (
    "Are the gradients exact? Those of a random recurrent network, by all of its parameters, are "
    "set beside central differences with ever smaller steps."
)
PICTURES = {
    "errors": (
        "How far central differences are from the exact gradient, by their step: each curve should"
        " fall as h² (dashed) as the step shrinks, and rise as 1/h (dotted) where rounding takes "
        "over, so both branches are errors of the differences."
    ),
}
