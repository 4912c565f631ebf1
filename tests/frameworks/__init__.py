"""Runs the tests of frameworks that depend on asgiref on it and on these packages.

hatch run frameworks:test --help
"""
