"""What schemathesis is run with."""
