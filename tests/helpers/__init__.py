"""What several tests need: child processes with a limit, and observations of threads."""
