"""The bytes of one letter: header fields, trace, reports."""
