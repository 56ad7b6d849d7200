"""The formulas of the losses, number by number: one copy, for processors and for the device.

The functions of a sample are plain Python.  Here they are compiled for loops over a batch, in
`gradients.cuda.loss_kernels` for kernels, where a thread takes a sample.  They read arrays of any
precision and compute in float64.
"""

import math

from eventsim._support.compile import loop, scalar

__all__ = [
    "first_spike_loop",
    "first_spike_sample",
    "lift",
    "lift_loop",
    "membrane_loop",
    "membrane_sample",
]

MOST_EXPONENT = 709.0  # its exponential is a number


@scalar
def target_of(is_label, smoothing, n_classes):
    """Return the probability that a class should have."""
    target = smoothing / n_classes
    return target + (1.0 - smoothing) if is_label else target


@scalar
def weight_of(behind, unit):
    """Return the weight, in a softmax, of a score that is ``behind`` the highest one."""
    return math.exp(-(behind / unit))


@scalar
def cost_of(share, behind, unit):
    """Return what such a score costs: a number, if it is one, also where its distance is none."""
    distance = behind / unit
    return share * distance if distance < math.inf else share * behind / unit


@scalar
def lateness(time, tau1, gamma):
    """Return ``gamma (exp(time / tau1) - 1)``, and its derivative; inf beyond float64."""
    x = time / tau1
    if x <= MOST_EXPONENT:
        return gamma * math.expm1(x), gamma / tau1 * math.exp(x)
    # For a product that is a number where exp(x) is none.
    quarter = math.exp(min(0.25 * x, MOST_EXPONENT))
    product = gamma * quarter * quarter * quarter * quarter
    return product, product / tau1


@scalar
def seen(time, t_silent):
    """Return the time that counts for a neuron."""
    return time if time < math.inf else t_silent


@scalar
def lift(threshold, potential, size):
    """Return what a potential below its threshold costs, in a mean of ``size``, and its slope.

    Twice a half: the whole difference may be no number.
    """
    return 2.0 * ((0.5 * threshold - 0.5 * potential) / size), -1.0 / size


def first_spike_sample(times, labels, k, numbers, derivative):
    """Write the derivative by the first spikes of sample k.

    Returns
    -------
    loss : float
        Its part of the mean over the samples.
    is_right, is_silent : float
        1 if the label's neuron fires before all others; 1 if it does not fire.
    """
    tau0, t_silent, tau1, gamma, smoothing = numbers
    n, n_classes = times.shape
    label = labels[k]
    label_time = float(times[k, label])
    is_right = 1.0 if label_time < math.inf else 0.0
    is_silent = 1.0 - is_right
    earliest, total, loss = math.inf, 0.0, 0.0
    for o in range(n_classes):
        earliest = min(earliest, seen(float(times[k, o]), t_silent))
    for o in range(n_classes):
        total += weight_of(seen(float(times[k, o]), t_silent) - earliest, tau0)
    for o in range(n_classes):
        fired = float(times[k, o])
        time = seen(fired, t_silent)
        target = target_of(o == label, smoothing, n_classes)
        slope = (target - weight_of(time - earliest, tau0) / total) / n / tau0
        loss += cost_of(target / n, time - earliest, tau0)
        if o != label and fired <= label_time:
            is_right = 0.0
        if o == label and gamma > 0.0:
            penalty, by_time = lateness(time, tau1, gamma)
            loss += penalty / n
            slope += by_time / n
        derivative[k, o] = slope if fired < math.inf else 0.0
    return loss + math.log(total) / n, is_right, is_silent


def membrane_sample(potentials, labels, k, numbers, derivative):
    """Write the derivative by the potentials of sample k.

    Returns
    -------
    loss : float
        Its part of the mean over the samples.
    is_right : float
        1 if the label's neuron has the highest potential of all.
    """
    smoothing, norm_penalty = numbers
    n, n_classes = potentials.shape
    label = labels[k]
    label_potential = float(potentials[k, label])
    top, total, loss, is_right = -math.inf, 0.0, 0.0, 1.0
    # In halves: a whole difference may be no number.
    for o in range(n_classes):
        top = max(top, 0.5 * float(potentials[k, o]))
    for o in range(n_classes):
        total += weight_of(top - 0.5 * float(potentials[k, o]), 0.5)
    for o in range(n_classes):
        v = float(potentials[k, o])
        behind = top - 0.5 * v
        target = target_of(o == label, smoothing, n_classes)
        loss += cost_of(target / n, behind, 0.5) + norm_penalty * v * v / (n * n_classes)
        slope = weight_of(behind, 0.5) / total - target + norm_penalty * (2.0 / n_classes * v)
        if o != label and v >= label_potential:
            is_right = 0.0
        derivative[k, o] = slope / n
    return loss + math.log(total) / n, is_right


_first_spike_sample = loop(first_spike_sample)
_membrane_sample = loop(membrane_sample)


@loop
def first_spike_loop(times, labels, numbers, derivative):
    """Write the derivatives; return the mean loss, and how many are right and silent."""
    loss, n_right, n_silent = 0.0, 0.0, 0.0
    for k in range(times.shape[0]):
        part, is_right, is_silent = _first_spike_sample(times, labels, k, numbers, derivative)
        loss += part
        n_right += is_right
        n_silent += is_silent
    return loss, n_right, n_silent


@loop
def membrane_loop(potentials, labels, numbers, derivative):
    """Write the derivatives; return the mean loss, and how many are right."""
    loss, n_right = 0.0, 0.0
    for k in range(potentials.shape[0]):
        part, is_right = _membrane_sample(potentials, labels, k, numbers, derivative)
        loss += part
        n_right += is_right
    return loss, n_right


@loop
def lift_loop(potentials, flags, threshold, derivative):
    """Write the derivatives by the potentials that should rise; return what they cost."""
    n, size = potentials.shape[0], potentials.size
    penalty = 0.0
    for k in range(n):
        for j in range(potentials.shape[1]):
            if flags[k, j]:
                cost, derivative[k, j] = lift(threshold[j], potentials[k, j], size)
                penalty += cost
    return penalty
