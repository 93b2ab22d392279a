# cython: language_level=3, boundscheck=False
"""Faults on purpose: what does not see these sees nothing."""

from libc.stdlib cimport free, malloc


def heap_write(size_t size, size_t at):
    """Write byte `at` of a block of `size` bytes of the heap."""
    cdef volatile unsigned char *block = <volatile unsigned char *>malloc(size)
    block[at] = 1
    free(<void *>block)


def use_after_free(size_t size):
    cdef volatile unsigned char *block = <volatile unsigned char *>malloc(size)
    free(<void *>block)
    return block[0]


def next_int(int value):
    """Undefined in C for INT_MAX."""
    return value + 1
