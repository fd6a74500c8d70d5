"""Mixed traffic for a long time: nothing is lost or damaged, and nothing grows."""
