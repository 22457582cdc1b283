"""Readers and writers, and the guarded child process that runs vendor readers."""
