"""Data sets of images: readers that check every byte, and downloads with checksums."""
