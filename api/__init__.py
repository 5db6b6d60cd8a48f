"""Where everything is put together: the exchange's HTTP service, the command line, the demonstration."""
