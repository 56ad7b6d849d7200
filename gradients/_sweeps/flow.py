r"""The adjoint state of one neuron between two events, with its derivatives by the rates.

Backward over a lag t (`gradients._sweeps.events`):
:math:`\lambda_I \leftarrow \lambda_I e^{-\alpha t} + \lambda_V h(t)`,
:math:`\lambda_V \leftarrow \lambda_V e^{-\beta t}`.
"""

from eventsim._support.compile import scalar
from eventsim.model.flow import (
    bias_kernel,
    bias_kernel_rate_derivative,
    kernel_rate_derivatives,
    propagator,
)

__all__ = ["flow_back", "flow_back_with_rates"]


@scalar
def flow_back(lag, alpha, beta, lambda_i, lambda_v):
    """Return ``(lambda_I, lambda_V)`` a time ``lag`` earlier."""
    synaptic, membrane, h = propagator(lag, alpha, beta)
    return lambda_i * synaptic + lambda_v * h, lambda_v * membrane


@scalar
def flow_back_with_rates(lag, alpha, beta, bias, lambda_i, lambda_v, i_alpha, i_beta, v_beta):
    """Return the same, the derivatives ``(I_alpha, I_beta, V_beta)``, and what the lag adds.

    These derivatives are those of lambda_I by alpha and beta, and of lambda_V by beta; what is
    added are the derivatives of the loss by beta and by the bias current.
    """
    synaptic, membrane, h = propagator(lag, alpha, beta)
    h_alpha, h_beta = kernel_rate_derivatives(lag, alpha, beta, synaptic, h)
    built = bias_kernel(lag, beta)
    by_beta = 0.0
    if bias != 0.0:
        slower = bias_kernel_rate_derivative(lag, beta)
        by_beta = bias * (v_beta * built + lambda_v * slower)
    return (
        lambda_i * synaptic + lambda_v * h,
        lambda_v * membrane,
        (i_alpha - lag * lambda_i) * synaptic + lambda_v * h_alpha,
        i_beta * synaptic + v_beta * h + lambda_v * h_beta,
        (v_beta - lag * lambda_v) * membrane,
        by_beta,
        lambda_v * built,
    )
