"""Who exists: users, aliases, passwords."""
