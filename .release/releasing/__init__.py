"""News, versions and releases of the packages, one at a time."""
