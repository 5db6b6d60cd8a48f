"""Checking the exchange's log from outside: with no account, no line and no trust in who kept it."""
