/* Counts each thread's calls of the allocator; preloaded by test_allocations.py. */

#define _GNU_SOURCE
#include <stddef.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

/* By thread id, modulo: a process of the test has a handful. */
static long counts[4096];
static __thread long *own;

static void count(void)
{
    if (!own)
        own = &counts[gettid() & 4095];
    __atomic_add_fetch(own, 1, __ATOMIC_RELAXED);
}

long allocations(int thread) { return __atomic_load_n(&counts[thread & 4095], __ATOMIC_RELAXED); }

void *malloc(size_t size) { count(); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { count(); return __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { count(); return __libc_realloc(old, size); }
void *memalign(size_t alignment, size_t size) { count(); return __libc_memalign(alignment, size); }
void *aligned_alloc(size_t alignment, size_t size) { count(); return __libc_memalign(alignment, size); }
int posix_memalign(void **out, size_t alignment, size_t size)
{
    count();
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : 12; /* ENOMEM */
}
