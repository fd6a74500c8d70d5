"""mail.ini: read once, every problem reported at once, frozen from then on."""
