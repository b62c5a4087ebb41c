"""What can go wrong, told apart from how it is shown, logged or repaired.

This package knows no web framework, no database and no client library: they register their own exceptions with the
classifier instead.
"""
