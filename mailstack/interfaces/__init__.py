"""The seams: what one stage may know of another. ``tests/*/contract.py`` say what every provider must do."""
