"""The command line: ``mailstack GROUP VERB``. Works on the same files as the server, while it runs or not."""
