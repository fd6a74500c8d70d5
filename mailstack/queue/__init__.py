"""Who is due when, and what comes of it."""
