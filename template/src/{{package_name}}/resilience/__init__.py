"""What keeps a failing part from taking the whole down. It knows no web framework and no client library."""
