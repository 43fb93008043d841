"""What syncjob decides, as functions of values: no I/O, no clock, no third-party package."""
