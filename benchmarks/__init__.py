"""Measurements that a reader can repeat: each prints one JSON object as its last line."""
