"""Where letters leave the queue: Maildirs and other servers."""
