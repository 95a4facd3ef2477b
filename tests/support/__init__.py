"""What tests of several folders use: data classes, clocks, nodes of this process or thread, waiting."""
