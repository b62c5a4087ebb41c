"""The services we call. One small file for each, and one line in registry.py."""
