"""The road of a micrograph."""
