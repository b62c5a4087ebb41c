"""The example: a slice from the table to the route, with each pattern once."""
