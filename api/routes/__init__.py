"""The exchange's interface over HTTP, a file for each kind of resource."""
