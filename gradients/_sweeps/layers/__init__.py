"""The adjoint of a run by layers."""
