"""What tests of several folders use: data classes, waiting."""
