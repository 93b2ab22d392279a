"""The relay compiled with sanitizers: `make test-asan`, and the build that is fuzzed."""
