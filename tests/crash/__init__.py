"""The promises under crashes: letters that were acknowledged are never lost."""
