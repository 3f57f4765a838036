#include "core/gcwatch.h"

#include "core/core.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { OLDEST = LT_GC_GENERATIONS - 1, FEWEST_FROZEN_BY_A_PROGRAM = 2048 };
static const int64_t READ_EVERY_NS = 100000000, TICK_EVERY_NS = 100000000, WALK_NS = 1000000;

lt_gc_watch lt_gc = {.announced = LT_GC_CAUSES};

/* Apart, because the pages of the callers are touched by explicit collections only. */
static lt_gc_record ring[LT_GC_RING];
static char callers[LT_GC_RING][LT_GC_CALLER_BYTES], open_caller[LT_GC_CALLER_BYTES];

int64_t lt_gc_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool lt_gc_copy(uint64_t number, lt_gc_record *record, char *caller) {
    if (number == 0 || number > lt_gc.last || lt_gc.last - number >= LT_GC_RING) {
        return false;
    }
    *record = ring[number % LT_GC_RING];
    caller[0] = 0;
    if (record->has_caller) {
        memcpy(caller, callers[number % LT_GC_RING], LT_GC_CALLER_BYTES);
    }
    return true;
}

Py_ssize_t lt_gc_place_in(PyObject *list) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        if (PyList_GET_ITEM(list, i) == lt_gc.callable) {
            return i;
        }
    }
    return -1;
}

void lt_gc_begin_anew(void) {
    lt_gc.last = 0;
    lt_gc.began_ns = lt_gc_now_ns();
    lt_gc.read_ns = 0;
    memset(lt_gc.collections, 0, sizeof(lt_gc.collections));
    memset(lt_gc.pause_ns, 0, sizeof(lt_gc.pause_ns));
    lt_gc.announced = LT_GC_CAUSES;
    lt_gc.requests = 0;
    lt_gc.is_tick_asked = false;
    lt_gc.tick_ns = 0;
}

/* -- readings ------------------------------------------------------------------------------------------------------- */

static Py_ssize_t field(PyObject *info, PyObject *key) {
    PyObject *value = PyDict_GetItemWithError(info, key);
    Py_ssize_t number = value != NULL && PyLong_CheckExact(value) ? PyLong_AsSsize_t(value) : -1;
    PyErr_Clear();
    return number;
}

static Py_ssize_t read_blocks(void) {
    PyObject *blocks = PyObject_CallNoArgs(lt_gc.allocated_blocks);
    Py_ssize_t number = blocks != NULL && PyLong_Check(blocks) ? PyLong_AsSsize_t(blocks) : LT_GC_UNREAD;
    PyErr_Clear();
    Py_XDECREF(blocks);
    return number;
}

/* Opened every time: a descriptor that is kept would be the parent's in a child, and closed by whoever closes them all. */
static Py_ssize_t read_rss(void) {
    char text[128];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    long pages;
    if (fd >= 0) {
        close(fd);
    }
    if (length <= 0) {
        return LT_GC_UNREAD;
    }
    text[length] = 0;
    return sscanf(text, "%*s %ld", &pages) == 1 ? (Py_ssize_t)pages * sysconf(_SC_PAGESIZE) : LT_GC_UNREAD;
}

/* Counting takes a cache miss an object. Both ends of the list tell whether something was frozen since it was counted last;
 * that one of the two has died looks the same, and costs another count. */
Py_ssize_t lt_gc_frozen(int64_t patience_ns) {
    static uintptr_t first, last;
    static Py_ssize_t counted = LT_GC_UNREAD;
    if (lt_gc.collector == NULL) {
        return LT_GC_UNREAD;
    }
    const PyGC_Head *head = &lt_gc.collector->permanent_generation.head;
    if (lt_collector_next(head) == head) {
        return 0;
    }
    if (first == head->_gc_next && last == head->_gc_prev) {
        return counted;
    }
    int64_t end_ns = lt_gc_now_ns() + patience_ns;
    Py_ssize_t n = 0;
    for (const PyGC_Head *at = lt_collector_next(head); at != head; at = lt_collector_next(at)) {
        if (++n % 1024 == 0 && lt_gc_now_ns() > end_ns) {
            return LT_GC_UNREAD;
        }
    }
    first = head->_gc_next;
    last = head->_gc_prev;
    return counted = n;
}

/* CPython 3.12 moves immortal objects to the permanent generation by itself, a few hundred; gc.freeze() takes everything. */
static bool has_program_frozen(void) {
    const PyGC_Head *head = &lt_gc.collector->permanent_generation.head, *at = lt_collector_next(head);
    for (int n = 0; at != head; at = lt_collector_next(at)) {
        if (++n == FEWEST_FROZEN_BY_A_PROGRAM) {
            return true;
        }
    }
    return false;
}

static bool is_in_request(void) {
    PyObject *request = NULL, *active = NULL;
    if (lt_gc.request_variable != NULL && PyContextVar_Get(lt_gc.request_variable, NULL, &request) == 0 && request != NULL &&
        request != Py_None) {
        active = PyObject_GetAttr(request, lt_gc.active);
    }
    PyErr_Clear();
    Py_XDECREF(active);
    Py_XDECREF(request);
    return active == Py_True;
}

/* -- causes --------------------------------------------------------------------------------------------------------- */

/* What the callbacks before ours may have taken off the youngest count since CPython chose: those in Python free objects. */
static int slack(const lt_gc_record *r) {
    PyObject *list = lt_gc.collector->callbacks;
    Py_ssize_t before = list != NULL ? lt_gc_place_in(list) : 0;
    before = before < 0 ? PyList_GET_SIZE(list) : before; /* somebody in it calls us */
    for (Py_ssize_t i = 0; i < before; i++) {
        if (!PyCFunction_CheckExact(PyList_GET_ITEM(list, i))) {
            return r->thresholds[0] / 16;
        }
    }
    return 0;
}

/* What CPython would collect of its own accord: the oldest generation that is due. */
static int automatic_generation(const lt_gc_record *r) {
    if (!PyGC_IsEnabled() || r->thresholds[0] <= 0 || r->counts[0] <= r->thresholds[0] - slack(r)) {
        return -1;
    }
    if (r->counts[2] > r->thresholds[2] && r->pending >= r->long_lived / 4) {
        return 2;
    }
    return r->counts[1] > r->thresholds[1] ? 1 : 0;
}

static lt_gc_cause find_cause(const lt_gc_record *r) {
    if (lt_is_finalizing()) {
        return LT_GC_SHUTDOWN;
    }
    if (lt_gc.announced != LT_GC_CAUSES && lt_gc.announced_by == PyThread_get_thread_ident()) {
        lt_gc_cause cause = lt_gc.announced;
        lt_gc.announced = LT_GC_CAUSES;
        return cause;
    }
    /* The incremental collector runs no full collection of its own accord. */
    bool is_automatic = lt_gc.collector != NULL ? automatic_generation(r) == r->generation : r->generation < OLDEST;
    return !is_automatic ? LT_GC_EXPLICIT : r->generation == OLDEST ? LT_GC_FULL : LT_GC_YOUNG;
}

/* The end of a path says more than its beginning. */
static bool find_caller(char *caller) {
    char file[LT_NAME_BYTES];
    int32_t line;
    size_t length = lt_frames_caller_inhook(file, &line), most = LT_GC_CALLER_BYTES - sizeof("...:-2147483648");
    if (length == 0) {
        return false;
    }
    size_t cut = length > most ? length - most : 0;
    while (cut < length && cut > 0 && (file[cut] & 0xc0) == 0x80) { /* within a character */
        cut++;
    }
    snprintf(caller, LT_GC_CALLER_BYTES, "%s%.*s:%d", cut > 0 ? "..." : "", (int)(length - cut), file + cut, (int)line);
    for (char *c = caller; *c != 0; c++) {
        *c = (unsigned char)*c < ' ' ? '?' : *c; /* a trace has it on a line */
    }
    return true;
}

/* -- the veto of explicit collections in a request -------------------------------------------------------------------- */

static bool call(PyObject *function) {
    PyObject *result = PyObject_CallNoArgs(function);
    PyErr_Clear();
    Py_XDECREF(result);
    return result != NULL;
}

/* What is frozen is not scanned. Never where the program has frozen something: it would be unfrozen with the rest. */
static bool veto(const lt_gc_record *r) {
    bool applies = lt_gc.has_guard && r->generation == OLDEST && r->cause == LT_GC_EXPLICIT && r->in_request &&
                   lt_gc.collector != NULL && !has_program_frozen();
    return applies && call(lt_gc.freeze);
}

void lt_gc_end_veto(void) {
    if (!lt_gc.is_vetoed || !call(lt_gc.unfreeze)) {
        return;
    }
    lt_gc.is_vetoed = false;
    /* As though it had not happened: an empty heap would make CPython's next full collection due at once. */
    lt_gc.collector->long_lived_total = lt_gc.open.long_lived;
    lt_gc.collector->long_lived_pending = lt_gc.open.pending;
    for (int i = 1; i < LT_GC_GENERATIONS; i++) {
        lt_gc.collector->generations[i].count = lt_gc.open.counts[i];
    }
}

/* -- the tick ------------------------------------------------------------------------------------------------------- */

static int run_tick(void *unused) {
    (void)unused;
    lt_gc.is_tick_asked = false;
    if (lt_gc.tick == NULL) {
        return 0;
    }
    bool is_collecting = lt_gc.collector != NULL && lt_gc.collector->collecting && !lt_is_finalizing();
    if (is_collecting || lt_self.guarded) {
        lt_gc.tick_ns = 0; /* in a finalizer, or among allocations that are being counted: after the next collection, then */
        return 0;
    }
    PyObject *tick = Py_NewRef(lt_gc.tick);
    uint8_t outer = lt_self.bypass;
    lt_self.bypass = 1;
    lt_self.epoch = 0; /* draw anew */
    PyObject *result = PyObject_CallNoArgs(tick);
    lt_self.bypass = outer;
    lt_self.epoch = 0;
    Py_DECREF(tick);
    Py_XDECREF(result);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_Exception)) {
        PyErr_Clear();
        return 0;
    }
    return result != NULL ? 0 : -1; /* Ctrl-C came meanwhile, and is the program's */
}

static void ask_for_tick(int64_t now_ns) {
    if (lt_gc.tick == NULL || lt_gc.is_tick_asked || now_ns - lt_gc.tick_ns < TICK_EVERY_NS) {
        return;
    }
    if (Py_AddPendingCall(run_tick, NULL) == 0) { /* else the queue is full: after the next collection */
        lt_gc.is_tick_asked = true;
        lt_gc.tick_ns = now_ns;
    }
}

/* -- a collection --------------------------------------------------------------------------------------------------- */

static void begin(int generation) {
    int64_t now_ns = lt_gc_now_ns();
    lt_collector *collector = lt_gc.collector;
    if (collector != NULL && !collector->collecting) {
        return; /* somebody else calls us */
    }
    lt_gc_end_veto();
    lt_gc_record *r = &lt_gc.open;
    *r = (lt_gc_record){.start_ns = now_ns,
                        .generation = (uint8_t)generation,
                        .blocks_before = LT_GC_UNREAD,
                        .blocks_after = LT_GC_UNREAD,
                        .rss_bytes = LT_GC_UNREAD,
                        .requests = lt_gc.requests,
                        .in_request = is_in_request()};
    if (collector != NULL) {
        for (int i = 0; i < LT_GC_GENERATIONS; i++) {
            r->counts[i] = collector->generations[i].count;
            r->thresholds[i] = collector->generations[i].threshold;
        }
        r->long_lived = collector->long_lived_total;
        r->pending = collector->long_lived_pending;
    }
    r->cause = (uint8_t)find_cause(r);
    r->goal_blocks = lt_gc.goal_blocks;
    r->predicted_ns = r->cause >= LT_GC_SAFEPOINT && r->cause <= LT_GC_LIMIT ? lt_gc.predicted_ns : 0;
    r->has_caller = r->cause == LT_GC_EXPLICIT && find_caller(open_caller);
    if (generation == OLDEST && now_ns - lt_gc.read_ns >= READ_EVERY_NS) {
        lt_gc.read_ns = now_ns;
        r->blocks_before = read_blocks();
    }
    lt_gc.is_vetoed = veto(r);
    lt_gc.is_open = true;
}

/* Before 3.15, what was scanned is what is left and what was freed. Nobody counts what generation 0 leaves. */
static Py_ssize_t scanned(const lt_gc_record *open, const lt_gc_record *after, Py_ssize_t candidates) {
    if (candidates >= 0) {
        return candidates;
    }
    Py_ssize_t gone = after->freed + after->uncollectable;
    Py_ssize_t left = open->generation == 2   ? after->long_lived
                      : open->generation == 1 ? after->pending - open->pending
                                              : open->counts[0] - gone;
    return gone + (left > 0 ? left : 0);
}

static void publish(lt_gc_record *r) {
    r->number = ++lt_gc.last;
    ring[r->number % LT_GC_RING] = *r;
    if (r->has_caller) {
        memcpy(callers[r->number % LT_GC_RING], open_caller, LT_GC_CALLER_BYTES);
    }
    lt_gc.collections[r->generation]++;
    lt_gc.pause_ns[r->generation] += r->pause_ns;
}

static void bark(int64_t now_ns) {
    if (lt_gc.deadline_ns == 0 || now_ns <= lt_gc.deadline_ns || lt_gc.collector == NULL) {
        return;
    }
    lt_gc.deadline_ns = 0;
    lt_gc.has_barked = true;
    for (int i = 0; i < LT_GC_GENERATIONS; i++) {
        lt_gc.collector->generations[i].threshold = lt_gc.deadline_thresholds[i];
    }
}

static void end(int generation, PyObject *info) {
    if (!lt_gc.is_open || lt_gc.open.generation != generation) {
        return;
    }
    lt_gc.is_open = false;
    int64_t now_ns = lt_gc_now_ns();
    bool was_vetoed = lt_gc.is_vetoed;
    lt_gc_end_veto();
    lt_gc_record r = lt_gc.open;
    r.pause_ns = now_ns - r.start_ns;
    Py_ssize_t collected = field(info, lt_gc.collected), uncollectable = field(info, lt_gc.uncollectable);
    r.freed = collected > 0 ? collected : 0; /* whoever calls us may say anything */
    r.uncollectable = uncollectable > 0 ? uncollectable : 0;
    if (lt_gc.collector != NULL) {
        r.long_lived = lt_gc.collector->long_lived_total;
        r.pending = lt_gc.collector->long_lived_pending;
    }
    r.scanned = was_vetoed ? 0 : scanned(&lt_gc.open, &r, field(info, lt_gc.candidates));
    if (r.blocks_before != LT_GC_UNREAD) {
        r.blocks_after = read_blocks();
        r.rss_bytes = read_rss();
    }
    r.frozen = generation == OLDEST ? lt_gc_frozen(WALK_NS) : LT_GC_UNREAD;
    publish(&r);
    bark(now_ns);
    if (r.cause == LT_GC_SHUTDOWN) {
        run_tick(NULL); /* nothing comes after it that could */
        PyErr_Clear();
    } else {
        ask_for_tick(now_ns);
    }
}

/* Be the last in the list: true when we were not, and are called once more for this start. The tick that is asked for at a
 * collection's end would else run in the next callback that is written in Python, within the collection, where nothing can be
 * done. The others keep their order, and each is called once: the collector passes over the one that takes our place, so it is
 * called here. */
static bool stay_last(PyObject *const *args) {
    if (lt_gc.collector == NULL || !lt_gc.collector->collecting || !PyList_Check(lt_gc.collector->callbacks)) {
        return false;
    }
    PyObject *list = lt_gc.collector->callbacks;
    Py_ssize_t place = lt_gc_place_in(list);
    if (place < 0 || place == PyList_GET_SIZE(list) - 1) {
        return false;
    }
    PyObject *ours = Py_NewRef(lt_gc.callable);
    bool has_moved = PyList_Append(list, ours) == 0 && PyList_SetSlice(list, place, place + 1, NULL) == 0;
    if (has_moved) {
        PyObject *next = Py_NewRef(PyList_GET_ITEM(list, place));
        PyObject *result = PyObject_Vectorcall(next, args, 2, NULL);
        if (result == NULL) {
            PyErr_WriteUnraisable(next);
        }
        Py_XDECREF(result);
        Py_DECREF(next);
    } else {
        PyErr_Clear();
    }
    Py_DECREF(ours);
    return has_moved;
}

/* What the collector calls: (phase, info). Never raises, whoever else calls it and with what. */
static PyObject *on_collection(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count == 2 && PyUnicode_Check(args[0]) && PyDict_Check(args[1])) {
        int saved_errno = errno;
        Py_ssize_t generation = field(args[1], lt_gc.generation);
        if (generation >= 0 && generation <= OLDEST) {
            if (PyUnicode_CompareWithASCIIString(args[0], "start") == 0) {
                if (!stay_last(args)) {
                    begin((int)generation);
                }
            } else if (PyUnicode_CompareWithASCIIString(args[0], "stop") == 0) {
                end((int)generation, args[1]);
            }
        }
        errno = saved_errno;
    }
    Py_RETURN_NONE;
}

static PyMethodDef on_collection_method = {"on_collection", (PyCFunction)(void (*)(void))on_collection, METH_FASTCALL,
                                           PyDoc_STR("Record a collection.")};

/* Nobody calls the watchdog any more: somebody else has emptied the list. */
static void on_removal(PyObject *lifeline) {
    if (lifeline == lt_gc.lifeline) {
        lt_gc.callable = lt_gc.lifeline = NULL;
        bark(INT64_MAX);
        if (!lt_is_finalizing()) {
            PyObject *type, *value, *traceback; /* of whatever let go of it */
            PyErr_Fetch(&type, &value, &traceback);
            lt_gc_end_veto(); /* no end of this collection comes to us, and no next one */
            PyErr_Restore(type, value, traceback);
        }
    }
}

PyObject *lt_gc_new_callable(void) {
    PyObject *module = PyUnicode_FromString("lowtide._core");
    PyObject *lifeline = PyCapsule_New(&lt_gc, NULL, on_removal);
    PyObject *callable = NULL;
    if (module != NULL && lifeline != NULL) {
        callable = PyCFunction_NewEx(&on_collection_method, lifeline, module);
    }
    lt_gc.callable = callable;
    lt_gc.lifeline = callable != NULL ? lifeline : NULL;
    Py_XDECREF(lifeline);
    Py_XDECREF(module);
    return callable;
}
