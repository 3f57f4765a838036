/* Every difference between CPython releases, and every CPython call that an allocator hook may make.
 *
 * Whitelist (they read thread-local or global words and can neither allocate, lock, raise nor touch a reference count):
 *   _PyThreadState_UncheckedGet, PyThreadState_GetUnchecked, PyGILState_GetThisThreadState, _Py_IsFinalizing, Py_IsFinalizing,
 *   Py_TYPE, Py_SIZE, PyCode_Check, PyUnicode_Check and the PyUnicode_*, PyBytes_* accessor macros.
 */
#ifndef LT_COMPAT_H
#define LT_COMPAT_H

#define PY_SSIZE_T_CLEAN
#define Py_BUILD_CORE_MODULE 1
#include <Python.h>

#if PY_VERSION_HEX < 0x030b0000 || PY_VERSION_HEX >= 0x03100000
#error "lowtide._core supports CPython 3.11 to 3.15"
#endif
#ifdef Py_GIL_DISABLED
#error "lowtide._core does not support free-threaded builds"
#endif
#if defined(Py_TRACE_REFS) || defined(Py_STACKREF_DEBUG)
#error "lowtide._core does not support Py_TRACE_REFS or Py_STACKREF_DEBUG builds"
#endif

#include <stdbool.h>
#include <string.h>

#include "internal/pycore_frame.h"
#include "internal/pycore_interp.h"
#if PY_VERSION_HEX >= 0x030e0000
#include "internal/pycore_interpframe_structs.h" /* 3.14 moved the frame's layout here */
#endif
#if PY_VERSION_HEX >= 0x030d0000
#include "internal/pycore_pymem.h"   /* _PyMem_GetCurrentAllocatorName was public before */
#include "internal/pycore_runtime.h" /* _PyRuntime.debug_offsets, since 3.13 */
#endif

#include "base/tables.h"

typedef struct _PyInterpreterFrame lt_frame;

/* The calling thread's own state, or NULL: a native thread, or one whose state may be gone. */
static inline PyThreadState *lt_thread_state_inhook(lt_domain domain) {
#if PY_VERSION_HEX >= 0x030d0000
    (void)domain;
    if (Py_IsFinalizing()) {
        return NULL;
    }
    PyThreadState *state = PyThreadState_GetUnchecked();
    return state != NULL ? state : PyGILState_GetThisThreadState();
#elif PY_VERSION_HEX >= 0x030c0000
    (void)domain;
    if (_Py_IsFinalizing()) {
        return NULL;
    }
    PyThreadState *state = _PyThreadState_UncheckedGet();
    return state != NULL ? state : PyGILState_GetThisThreadState();
#else
    if (_Py_IsFinalizing()) {
        return NULL;
    }
    /* 3.11's current state is the GIL holder's: ours only in the domains that need the GIL. */
    return domain == LT_RAW ? PyGILState_GetThisThreadState() : _PyThreadState_UncheckedGet();
#endif
}

static inline lt_frame *lt_top_frame_inhook(const PyThreadState *state) {
#if PY_VERSION_HEX >= 0x030d0000
    return state->current_frame;
#else
    return state->cframe != NULL ? state->cframe->current_frame : NULL;
#endif
}

/* The code a frame runs, or NULL for frames that CPython inserts for itself. */
static inline PyCodeObject *lt_frame_code_inhook(const lt_frame *frame) {
#if PY_VERSION_HEX >= 0x030e0000
    if (frame->owner >= FRAME_OWNED_BY_INTERPRETER) {
        return NULL;
    }
    PyObject *executable = (PyObject *)(frame->f_executable.bits & ~(uintptr_t)7); /* tag bits: 1 on 3.14, 2 on 3.15 */
    return executable != NULL && PyCode_Check(executable) ? (PyCodeObject *)executable : NULL;
#elif PY_VERSION_HEX >= 0x030d0000
    PyObject *executable = frame->f_executable;
    bool inserted = frame->owner == FRAME_OWNED_BY_CSTACK || executable == NULL || !PyCode_Check(executable);
    return inserted ? NULL : (PyCodeObject *)executable;
#elif PY_VERSION_HEX >= 0x030c0000
    return frame->owner == FRAME_OWNED_BY_CSTACK ? NULL : frame->f_code;
#else
    return frame->f_code;
#endif
}

/* Offset of the running instruction, in code units; -1 before the first. */
static inline int32_t lt_frame_lasti_inhook(const lt_frame *frame, PyCodeObject *code) {
#if PY_VERSION_HEX >= 0x030d0000
    return (int32_t)(frame->instr_ptr - (_Py_CODEUNIT *)code->co_code_adaptive);
#else
    return (int32_t)(frame->prev_instr - (_Py_CODEUNIT *)code->co_code_adaptive);
#endif
}

/* Not yet at its RESUME: CPython hides such frames from tracebacks, and the 3.13+ shim around a class's __init__ is one. */
static inline bool lt_frame_is_incomplete_inhook(const lt_frame *frame, const PyCodeObject *code, int32_t lasti) {
    return frame->owner != FRAME_OWNED_BY_GENERATOR && lasti < code->_co_firsttraceable;
}

#if PY_VERSION_HEX < 0x030c0000
static inline uint64_t lt_text_identity_inhook(PyObject *text) {
    Py_hash_t hash = ((PyASCIIObject *)text)->hash;
    size_t bytes = (size_t)PyUnicode_GET_LENGTH(text) * PyUnicode_KIND(text);
    return hash != -1 ? (uint64_t)hash : lt_hash_bytes(PyUnicode_DATA(text), bytes, 2);
}
#endif

/* Tells a code object from a later one at the same address. */
static inline uint64_t lt_code_identity_inhook(const PyCodeObject *code) {
#if PY_VERSION_HEX >= 0x030c0000
    uint64_t mixed = code->co_version; /* unique in its interpreter until 2^32 are spent */
    mixed = lt_mix(mixed, (uint64_t)(uintptr_t)code->co_qualname);
    mixed = lt_mix(mixed, (uint64_t)(uintptr_t)code->co_linetable);
#else
    /* Its strings and its table may be reborn at their old addresses too: look at all that they hold. */
    const PyObject *table = code->co_linetable;
    uint64_t mixed = lt_hash_bytes(PyBytes_AS_STRING(table), (size_t)PyBytes_GET_SIZE(table), 3);
    mixed = lt_mix(mixed, lt_text_identity_inhook(code->co_qualname));
    mixed = lt_mix(mixed, lt_text_identity_inhook(code->co_filename));
#endif
    return lt_mix(mixed, (uint64_t)code->co_firstlineno);
}

/* "pymalloc" where nobody has put anything over it or under it; "" where CPython has no name for what is there. */
static inline const char *lt_allocator_name(void) {
    const char *name = _PyMem_GetCurrentAllocatorName();
    return name != NULL ? name : "";
}

/* -- the cyclic collector ------------------------------------------------------------------------------------------- */

#if PY_VERSION_HEX >= 0x030e0000 && PY_VERSION_HEX < 0x030e0500
/* Headers of the incremental collector, whose fields mean something else: never read, but named. */
typedef struct {
    int collecting;
    struct gc_generation generations[3], permanent_generation;
    PyObject *callbacks;
    Py_ssize_t long_lived_total, long_lived_pending;
} lt_collector;
#else
typedef struct _gc_runtime_state lt_collector;
#endif

/* The collector of the main interpreter; NULL where its fields are not those of the headers. That 3.14.5 had another one than
 * 3.14.4 shows at run time only: one build serves them all. */
static inline lt_collector *lt_main_collector(void) {
#if PY_VERSION_HEX >= 0x030e0000 && PY_VERSION_HEX < 0x030e0500
    return NULL;
#else
    if (Py_Version >= 0x030e0000 && Py_Version < 0x030e0500) {
        return NULL;
    }
#if PY_VERSION_HEX >= 0x030d0000
    const _Py_DebugOffsets *o = &_PyRuntime.debug_offsets;
    if (o->interpreter_state.gc != offsetof(PyInterpreterState, gc) || o->gc.size != sizeof(lt_collector) ||
        o->gc.collecting != offsetof(lt_collector, collecting)) {
        return NULL;
    }
#endif
    return &PyInterpreterState_Main()->gc;
#endif
}

static inline PyGC_Head *lt_collector_next(const PyGC_Head *head) {
    return (PyGC_Head *)head->_gc_next;
}

static inline bool lt_is_finalizing(void) {
#if PY_VERSION_HEX >= 0x030d0000
    return Py_IsFinalizing();
#else
    return _Py_IsFinalizing();
#endif
}

/* NULL, or what differs between the headers this was built with and the running interpreter. */
static inline const char *lt_layout_mismatch(void) {
#if PY_VERSION_HEX >= 0x030d0000
    const _Py_DebugOffsets *o = &_PyRuntime.debug_offsets;
    if (o->free_threaded) {
        return "a free-threaded interpreter";
    }
    if (o->thread_state.current_frame != offsetof(PyThreadState, current_frame)) {
        return "PyThreadState.current_frame";
    }
    if (o->interpreter_frame.previous != offsetof(lt_frame, previous) ||
        o->interpreter_frame.executable != offsetof(lt_frame, f_executable) ||
        o->interpreter_frame.instr_ptr != offsetof(lt_frame, instr_ptr) ||
        o->interpreter_frame.owner != offsetof(lt_frame, owner)) {
        return "_PyInterpreterFrame";
    }
    if (o->code_object.filename != offsetof(PyCodeObject, co_filename) ||
        o->code_object.qualname != offsetof(PyCodeObject, co_qualname) ||
        o->code_object.linetable != offsetof(PyCodeObject, co_linetable) ||
        o->code_object.firstlineno != offsetof(PyCodeObject, co_firstlineno) ||
        o->code_object.co_code_adaptive != offsetof(PyCodeObject, co_code_adaptive)) {
        return "PyCodeObject";
    }
    if (o->unicode_object.state != offsetof(PyASCIIObject, state) ||
        o->unicode_object.length != offsetof(PyASCIIObject, length) ||
        o->unicode_object.asciiobject_size != sizeof(PyASCIIObject)) {
        return "PyASCIIObject";
    }
#endif
    return NULL; /* 3.11 and 3.12 publish no offsets: the self-test at start stands alone */
}

#endif
