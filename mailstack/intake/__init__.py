"""Decide and accept."""
