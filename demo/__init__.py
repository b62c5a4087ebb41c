"""A service rendered with the default answers, seen at work and in trouble."""
