"""Classifiers read out by potentials: the scenarios mnist and fashion_mnist."""
