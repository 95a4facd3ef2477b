"""The consensus protocol as a pure state machine: no clock, no socket, no random source of its own."""
