"""Twisted shells around the inbound protocols."""
