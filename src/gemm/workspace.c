/* The workspace of each thread: allocated when a product first asks for it, freed when the thread ends. Without POSIX
 * threads nobody says that it does, and the workspace stays until the process ends. */
#include "workspace.h"
#include "vectors.h"
#include <stdlib.h>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>

/* No _Thread_local: the linker allocates what a loaded library has of these, for each thread at its first access, and
 * ends the process where there is no memory for it. */
static pthread_key_t workspace_key;
static pthread_once_t workspace_once = PTHREAD_ONCE_INIT;
static int workspace_error; /* not 0: there is no key */

static void create_workspace_key(void) { workspace_error = pthread_key_create(&workspace_key, free); }

static void *own_memory(void) {
    pthread_once(&workspace_once, create_workspace_key);
    return workspace_error == 0 ? pthread_getspecific(workspace_key) : NULL;
}

/* Returns whether it will be freed. */
static int keep(void *memory) { return workspace_error == 0 && pthread_setspecific(workspace_key, memory) == 0; }

#else

#ifdef _MSC_VER
static __declspec(thread) void *workspace_memory;
#else
static _Thread_local void *workspace_memory;
#endif

static void *own_memory(void) { return workspace_memory; }

static int keep(void *memory) {
    workspace_memory = memory;
    return 1;
}

#endif

static NOINLINE void *new_memory(size_t n_bytes) {
    void *const memory = malloc(n_bytes);
    if (memory && keep(memory)) return memory;
    free(memory);
    return NULL;
}

GEMM_API Workspace *workspace(void) {
    const uintptr_t alignment = 64;
    void *memory = own_memory();
    if (!memory) memory = new_memory(sizeof(Workspace) + alignment);
    return memory ? (Workspace *)(((uintptr_t)memory + alignment - 1) / alignment * alignment) : NULL;
}
