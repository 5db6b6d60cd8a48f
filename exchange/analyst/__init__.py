"""The asker's side: joint SQL to plan, keys, submission, decryption, figures."""
