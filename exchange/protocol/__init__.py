"""What the parties say to each other and in what order: bytes in, effects out; no disk, no network, no clock."""
