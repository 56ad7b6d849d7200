"""Tests of :mod:`gradients`, one file per source module."""
