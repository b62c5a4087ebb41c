"""The database: one engine, one session for each request, and every failure of a driver told in our own words."""
