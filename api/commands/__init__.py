"""The command line's commands: options and help, and what they do where a program would not call it so."""
