"""The border between HTTP and the rest: one pass around every request, and one body for every error."""
