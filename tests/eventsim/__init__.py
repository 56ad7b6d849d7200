"""Tests of :mod:`eventsim`, one file per source module."""
