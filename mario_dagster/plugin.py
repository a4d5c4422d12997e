"""What a package outside imports, in one place."""
