"""Servers that behave badly, as data: :mod:`.servers` is the table, played in memory and over sockets."""
