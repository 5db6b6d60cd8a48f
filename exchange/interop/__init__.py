"""The catalog in the words of others."""
