"""What ``bench/`` makes of its figures, and that it runs."""
