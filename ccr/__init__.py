"""The command line and the local deployment; never packaged into a function."""
