"""Exact against surrogate gradients in training: the scenarios compare and yin_yang."""
