"""Rendered services are installed and run their own checks."""
