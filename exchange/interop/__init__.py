"""Documents of other vocabularies, written from ours and read back."""
