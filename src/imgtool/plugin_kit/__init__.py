"""What plugin authors are given: a package to start from, a conformance check, a bisection."""
