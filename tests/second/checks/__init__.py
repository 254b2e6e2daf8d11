"""Checks of the second implementation by itself: published vectors and its own round trips."""
