"""Maildirs as mailboxes."""
