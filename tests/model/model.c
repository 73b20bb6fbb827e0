/* SPDX-License-Identifier: MIT */
/* Documented in model.h. */
#include "model.h"
#undef memcpy

#include <arsenal/coro.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/san.h"

enum { OBJECTS = 24, STORES = 40, PLAINS = 24, SITES = 64 };
enum { CHOICES = 4096, STEPS = 600, RANGES = 8, PROGRAMS = 32 };

/* What a thread knows: the newest store of each object, and how far each thread had got. */
typedef struct view {
    uint8_t seen[OBJECTS];
    uint8_t clock[MODEL_THREADS];
} view;

typedef struct store {
    uint64_t value;
    view known; /* to whoever acquires it */
} store;

typedef struct object {
    char *p;
    size_t size;
    unsigned n;      /* stores, oldest first; the first is what setup left */
    unsigned sc_min; /* the last one that was sequentially consistent */
    store stores[STORES];
} object;

typedef struct plain {
    const char *p;
    uint8_t writer, written; /* whose, and its clock then; 0: setup */
    uint8_t read[MODEL_THREADS];
} plain;

enum status { READY, PAUSED, SLEEPING, DONE };

typedef struct thread {
    enum status status;
    view view;
    uint64_t results, history;
    unsigned last_object, last_store; /* of the last read, for pauses */
    uint8_t again[OBJECTS];           /* how often the same old store was read in a row */
    const char *word;                 /* it sleeps on */
    ars_coro *coro;
} thread;

typedef struct event {
    unsigned thread;
    const model_site *site;
    unsigned object, store;
    uint64_t value;
} event;

static const model_program *program;
static thread threads[MODEL_THREADS];
static thread *running; /* NULL in setup and finish */
static char stacks[MODEL_THREADS][64 * 1024] __attribute__((aligned(64)));

/* Objects keep their number from one execution to the next. */
static object objects[OBJECTS];
static unsigned object_count;
static plain plains[PLAINS];
static unsigned plain_count;
static struct {
    char *p;
    size_t size;
} ranges[RANGES];
static unsigned range_count;

static struct {
    uint8_t n, pick;
} choices[CHOICES];
static unsigned choice_count, choice_at;

static model_site *sites[SITES];
static unsigned site_count;
static uint64_t met; /* the sites that the program has come to, a bit each */
static event events[STEPS];
static unsigned event_count;
static char failure[256];

static uint64_t *visited;
static size_t visited_count, visited_size;
static unsigned long executions;

static uint64_t mix(uint64_t h, uint64_t x)
{
    /* The sum keeps zeros from being nothing. */
    h = ((h ^ x) + UINT64_C(0x2545f4914f6cdd1d)) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 29;
}

static uint64_t mix_bytes(uint64_t h, const void *p, size_t size)
{
    const char *from = p;
    for (; size >= 8; size -= 8, from += 8) {
        uint64_t word;
        memcpy(&word, from, 8);
        h = mix(h, word);
    }
    for (; size > 0; size--, from++) h = mix(h, (uint8_t)*from);
    return h;
}

static void die(const char *what)
{
    fprintf(stderr, "%s: the explorer's limit of %s is too low\n", program->name, what);
    exit(1);
}

/* 1 for the first to come with that hash, else 0. */
static int visit(uint64_t hash)
{
    if (hash == 0) hash = 1;
    if (visited_count * 2 >= visited_size) {
        size_t size = visited_size ? visited_size * 2 : 1 << 16;
        uint64_t *bigger = calloc(size, sizeof *bigger);
        if (!bigger) die("memory");
        for (size_t i = 0; i < visited_size; i++) {
            if (!visited[i]) continue;
            size_t at = visited[i] & (size - 1);
            while (bigger[at]) at = (at + 1) & (size - 1);
            bigger[at] = visited[i];
        }
        free(visited);
        visited = bigger;
        visited_size = size;
    }
    size_t at = hash & (visited_size - 1);
    for (; visited[at]; at = (at + 1) & (visited_size - 1)) {
        if (visited[at] == hash) return 0;
    }
    visited[at] = hash;
    visited_count++;
    return 1;
}

/* One of 'n' ways to go on. */
static unsigned choose(unsigned n)
{
    if (n == 1) return 0;
    if (choice_at == choice_count) {
        if (choice_count == CHOICES || n > UINT8_MAX) die("choices");
        choices[choice_count].n = (uint8_t)n;
        choices[choice_count++].pick = 0;
    }
    return choices[choice_at++].pick;
}

/* The next way to go; 0 when all have been gone. */
static int next_choices(void)
{
    while (choice_count > 0 && choices[choice_count - 1].pick + 1 == choices[choice_count - 1].n)
        choice_count--;
    if (choice_count == 0) return 0;
    choices[choice_count - 1].pick++;
    return 1;
}

static void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!failure[0]) vsnprintf(failure, sizeof failure, format, args);
    va_end(args);
    /* The execution ends here. */
    if (running) ars_coro_yield(running->coro, NULL, NULL);
}

void model_fail(const char *what, int line)
{
    fail("line %d: %s", line, what);
}

/* ---- knowledge ---- */

static void view_join(view *to, const view *from)
{
    for (unsigned i = 0; i < OBJECTS; i++)
        if (to->seen[i] < from->seen[i]) to->seen[i] = from->seen[i];
    for (unsigned i = 0; i < MODEL_THREADS; i++)
        if (to->clock[i] < from->clock[i]) to->clock[i] = from->clock[i];
}

static int acquires(enum model_order order)
{
    return order == MODEL_ACQUIRE || order >= MODEL_ACQ_REL;
}

static int releases(enum model_order order)
{
    return order >= MODEL_RELEASE;
}

static uint64_t memory_get(const void *p, size_t size)
{
    uint64_t value = 0;
    memcpy(&value, p, size);
    return value;
}

static object *object_at(const void *p, size_t size)
{
    unsigned i = 0;
    while (i < object_count && objects[i].p != p) i++;
    object *o = &objects[i];
    if (i == object_count) {
        if (i == OBJECTS) die("objects");
        object_count++;
        o->p = (char *)(uintptr_t)p;
        o->size = size;
        o->n = 0;
    }
    if (o->n == 0) {
        memset(&o->stores[0], 0, sizeof o->stores[0]);
        o->stores[0].value = memory_get(p, size);
        o->n = 1;
        o->sc_min = 0;
    }
    return o;
}

static unsigned number(const object *o)
{
    return (unsigned)(o - objects);
}

static void note(const model_site *site, const object *o, unsigned i)
{
    thread *t = running;
    if (event_count == STEPS) fail("the program does not end");
    if (event_count < STEPS)
        events[event_count++] =
            (event){(unsigned)(t - threads), site, number(o), i, o->stores[i].value};
    /* What it does next depends on the value; what it may read next is its view. */
    t->history =
        mix(mix(t->history, (uint64_t)(uint32_t)site->line << 32 | number(o)), o->stores[i].value);
    t->last_object = number(o);
    t->last_store = i;
}

/* The thread reads store 'i'. */
static uint64_t read_store(const model_site *site, enum model_order order, object *o, unsigned i)
{
    thread *t = running;
    unsigned k = number(o);
    t->again[k] = i + 1 < o->n && t->view.seen[k] == i ? t->again[k] + 1 : 0;
    t->view.seen[k] = (uint8_t)i;
    if (acquires(order)) view_join(&t->view, &o->stores[i].known);
    note(site, o, i);
    return o->stores[i].value;
}

/* The thread adds the newest store; 'modify': as a read-modify-write of the newest before. */
static void write_store(const model_site *site, enum model_order order, object *o, uint64_t value,
                        int modify)
{
    thread *t = running;
    unsigned i = o->n, k = number(o);
    if (i == STORES) die("stores");
    store *s = &o->stores[i];
    memset(s, 0, sizeof *s);
    if (o->size < 8) value &= (UINT64_C(1) << o->size * 8) - 1;
    s->value = value;
    t->view.seen[k] = (uint8_t)i;
    t->again[k] = 0;
    if (releases(order)) s->known = t->view;
    s->known.seen[k] = (uint8_t)i;
    /* What a read-modify-write replaces goes on releasing through it. */
    if (modify) view_join(&s->known, &o->stores[i - 1].known);
    if (order == MODEL_SEQ_CST) o->sc_min = i;
    o->n = i + 1;
    memcpy(o->p, &value, o->size);
    note(site, o, i);
}

/* The oldest store that the thread may still read. */
static unsigned oldest(const thread *t, const object *o, enum model_order order)
{
    enum { AGAIN = 2 };
    unsigned k = number(o), i = t->view.seen[k];
    if (order == MODEL_SEQ_CST && i < o->sc_min) i = o->sc_min;
    if (t->again[k] >= AGAIN && i == t->view.seen[k] && i + 1 < o->n) i++;
    return i;
}

/* ---- atomic accesses ---- */

static void step(model_site *site, const char *function)
{
    if (!site->function) {
        if (site_count == SITES) die("sites");
        site->function = function;
        site->number = site_count;
        sites[site_count++] = site;
    }
    met |= UINT64_C(1) << site->number;
    ars_coro_yield(running->coro, NULL, NULL);
}

uint64_t model_load(model_site *site, const char *function, const void *p, size_t size)
{
    if (!running) return memory_get(p, size);
    step(site, function);
    object *o = object_at(p, size);
    unsigned first = oldest(running, o, site->used);
    return read_store(site, site->used, o, o->n - 1 - choose(o->n - first));
}

void model_store(model_site *site, const char *function, void *p, size_t size, uint64_t value)
{
    if (!running) {
        memcpy(p, &value, size);
        return;
    }
    step(site, function);
    write_store(site, site->used, object_at(p, size), value, 0);
}

static uint64_t changed(const model_site *site, uint64_t before, uint64_t value)
{
    switch (site->op) {
    case MODEL_ADD: return before + value;
    case MODEL_OR: return before | value;
    case MODEL_AND: return before & value;
    default: return value;
    }
}

static uint64_t modify(model_site *site, const char *function, void *p, size_t size, uint64_t value)
{
    if (!running) {
        uint64_t before = memory_get(p, size);
        value = changed(site, before, value);
        memcpy(p, &value, size);
        return before;
    }
    step(site, function);
    object *o = object_at(p, size);
    uint64_t before = read_store(site, site->used, o, o->n - 1);
    write_store(site, site->used, o, changed(site, before, value), 1);
    return before;
}

uint64_t model_swap(model_site *site, const char *function, void *p, size_t size, uint64_t value)
{
    return modify(site, function, p, size, value);
}

uint64_t model_add(model_site *site, const char *function, void *p, size_t size, uint64_t value)
{
    return modify(site, function, p, size, value);
}

uint64_t model_or(model_site *site, const char *function, void *p, size_t size, uint64_t value)
{
    return modify(site, function, p, size, value);
}

uint64_t model_and(model_site *site, const char *function, void *p, size_t size, uint64_t value)
{
    return modify(site, function, p, size, value);
}

int model_cas(model_site *site, const char *function, void *p, size_t size, void *expected,
              uint64_t value)
{
    uint64_t wanted = memory_get(expected, size), found;
    if (!running) {
        found = memory_get(p, size);
        memcpy(found == wanted ? p : expected, found == wanted ? &value : &found, size);
        return found == wanted;
    }
    step(site, function);
    object *o = object_at(p, size);
    /* It succeeds on the newest store; it fails on any that it may read and that differs. */
    unsigned may[STORES], n = 0;
    for (unsigned i = o->n, first = oldest(running, o, site->used); i-- > first;)
        if (i + 1 == o->n || o->stores[i].value != wanted) may[n++] = i;
    unsigned i = may[choose(n)];
    if (o->stores[i].value == wanted) {
        read_store(site, site->used, o, i);
        write_store(site, site->used, o, value, 1);
        return 1;
    }
    found = read_store(site, site->used, o, i);
    memcpy(expected, &found, size);
    return 0;
}

void model_pause(void)
{
    thread *t = running;
    object *o = &objects[t->last_object];
    /* Pauses in a row are one. */
    if (t->status == READY && t->last_store != UINT8_MAX) {
        t->status = PAUSED;
        ars_coro_yield(t->coro, NULL, NULL);
        if (t->view.seen[t->last_object] < t->last_store + 1)
            t->view.seen[t->last_object] = (uint8_t)(t->last_store + 1);
        t->last_store = UINT8_MAX;
        t->history = mix(t->history, number(o) + 1000);
    }
}

int model_futex_wait(uint32_t *word, uint32_t expected, ars_time deadline)
{
    static model_site site = {__LINE__, MODEL_LOAD, MODEL_RELAXED, MODEL_RELAXED, NULL, 0};
    (void)deadline;
    step(&site, __func__);
    object *o = object_at(word, sizeof *word);
    if (read_store(&site, MODEL_RELAXED, o, o->n - 1) != expected) return ARS_EAGAIN;
    running->word = o->p;
    running->status = SLEEPING;
    ars_coro_yield(running->coro, NULL, NULL);
    return 0;
}

int model_futex_wake(uint32_t *word, unsigned n)
{
    static model_site site = {__LINE__, MODEL_LOAD, MODEL_RELAXED, MODEL_RELAXED, NULL, 0};
    int woken = 0;
    step(&site, __func__);
    for (; n > 0; n--) {
        thread *sleepers[MODEL_THREADS];
        unsigned count = 0;
        for (thread *t = threads; t < threads + MODEL_THREADS; t++)
            if (t->status == SLEEPING && t->word == (char *)word) sleepers[count++] = t;
        if (count == 0) break;
        sleepers[choose(count)]->status = READY;
        woken++;
    }
    running->history = mix(running->history, (uint64_t)woken);
    return woken;
}

void model_barrier(void)
{
    static model_site site = {__LINE__, MODEL_LOAD, MODEL_RELAXED, MODEL_RELAXED, NULL, 0};
    for (thread *t = threads; t < threads + MODEL_THREADS; t++) {
        if (t == running) continue;
        step(&site, __func__);
        view_join(&running->view, &t->view);
        view_join(&t->view, &running->view);
        running->history = mix(running->history, (uint64_t)(t - threads));
    }
}

/* ---- plain data ---- */

static int shared(const void *p)
{
    for (unsigned i = 0; i < range_count; i++)
        if ((uintptr_t)p - (uintptr_t)ranges[i].p < ranges[i].size) return 1;
    return 0;
}

static void touch(const void *p, int writes)
{
    thread *t = running;
    if (!t || !shared(p)) return;
    unsigned i = 0, self = (unsigned)(t - threads);
    while (i < plain_count && plains[i].p != p) i++;
    plain *d = &plains[i];
    if (i == plain_count) {
        if (i == PLAINS) die("plain data");
        memset(d, 0, sizeof *d);
        d->p = p;
        plain_count++;
    }
    if (d->written > t->view.clock[d->writer]) fail("race: data that another thread has written");
    if (t->view.clock[self] == UINT8_MAX) die("plain accesses");
    uint8_t now = ++t->view.clock[self];
    if (writes) {
        for (unsigned k = 0; k < MODEL_THREADS; k++)
            if (d->read[k] > t->view.clock[k]) fail("race: data that another thread reads");
        d->writer = (uint8_t)self;
        d->written = now;
    } else {
        d->read[self] = now;
    }
}

uint64_t model_read(const uint64_t *p)
{
    touch(p, 0);
    return *p;
}

void model_write(uint64_t *p, uint64_t value)
{
    touch(p, 1);
    *p = value;
}

void model_copy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        touch((const char *)from + i, 0);
        touch((char *)to + i, 1);
    }
    memcpy(to, from, size);
}

void model_shared(void *p, size_t size)
{
    if (range_count == RANGES) die("shared objects");
    ranges[range_count].p = p;
    ranges[range_count++].size = size;
}

void model_result(uint64_t value)
{
    thread *t = running;
    t->history = t->results = mix(t->results, value);
    t->last_store = UINT8_MAX;
    t->last_object = 0;
    memset(t->again, 0, sizeof t->again);
}

/* ---- executions ---- */

static void *body(ars_coro *self, void *in)
{
    thread *t = in;
    (void)self;
    program->thread[t - threads]();
    t->status = DONE;
    return NULL;
}

/*
 * What every living thread knows of is history: numbers count from there, and
 * older stores are left out.  So executions that differ in their past only
 * come to the same state.
 */
static view base;

static void find_base(void)
{
    memset(&base, UINT8_MAX, sizeof base);
    for (const thread *t = threads; t < threads + MODEL_THREADS; t++) {
        if (t->status == DONE) continue;
        for (unsigned i = 0; i < object_count; i++)
            if (base.seen[i] > t->view.seen[i]) base.seen[i] = t->view.seen[i];
        for (unsigned i = 0; i < MODEL_THREADS; i++)
            if (base.clock[i] > t->view.clock[i]) base.clock[i] = t->view.clock[i];
    }
}

static uint8_t since(uint8_t number, uint8_t from)
{
    return number > from ? (uint8_t)(number - from) : 0;
}

static uint64_t mix_view(uint64_t h, const view *v)
{
    uint8_t relative[OBJECTS + MODEL_THREADS];
    unsigned n = 0;
    for (unsigned i = 0; i < object_count; i++) relative[n++] = since(v->seen[i], base.seen[i]);
    for (unsigned i = 0; i < MODEL_THREADS; i++) relative[n++] = since(v->clock[i], base.clock[i]);
    return mix_bytes(h, relative, n);
}

static uint64_t mix_thread(uint64_t h, const thread *t)
{
    h = mix(mix(h, t->history), t->status);
    if (t->status == DONE) return h;
    unsigned last = t->last_store;
    if (last != UINT8_MAX) last = since((uint8_t)last, base.seen[t->last_object]) + 1u;
    h = mix(h, (uint64_t)t->last_object << 8 | last);
    h = mix_bytes(h, t->again, object_count);
    return mix_view(h, &t->view);
}

static uint64_t mix_object(uint64_t h, const object *o)
{
    unsigned k = number(o), first = base.seen[k];
    if (first >= o->n) return mix(h, o->n > 0); /* nobody lives */
    h = mix(mix(h, o->n - first), since((uint8_t)o->sc_min, base.seen[k]));
    for (unsigned i = first; i < o->n; i++)
        h = mix_view(mix(h, o->stores[i].value), &o->stores[i].known);
    return h;
}

static uint64_t state(void)
{
    uint64_t h = 1;
    find_base();
    for (const thread *t = threads; t < threads + MODEL_THREADS; t++) h = mix_thread(h, t);
    for (unsigned i = 0; i < object_count; i++) h = mix_object(h, &objects[i]);
    /* Plain data is numbered in the order of its first access: so by address. */
    uint64_t sum = 0;
    for (unsigned i = 0; i < plain_count; i++) {
        const plain *d = &plains[i];
        uint8_t marks[2 + MODEL_THREADS] = {0, since(d->written, base.clock[d->writer])};
        if (marks[1]) marks[0] = d->writer;
        unsigned any = marks[1];
        for (unsigned k = 0; k < MODEL_THREADS; k++)
            any |= marks[2 + k] = since(d->read[k], base.clock[k]);
        if (any) sum += mix_bytes((uintptr_t)d->p, marks, sizeof marks);
    }
    h = mix(h, sum);
    for (unsigned i = 0; i < range_count; i++) h = mix_bytes(h, ranges[i].p, ranges[i].size);
    return h;
}

static int can_run(const thread *t)
{
    return t->status == READY ||
           (t->status == PAUSED && objects[t->last_object].n > t->last_store + 1);
}

static void resume(thread *t)
{
    running = t;
    if (t->status == PAUSED) t->status = READY;
    if (ars_coro_resume(t->coro, t, NULL) < 0) die("coroutines");
    running = NULL;
}

static void begin(void)
{
    failure[0] = 0;
    running = NULL;
    choice_at = event_count = range_count = plain_count = 0;
    for (unsigned i = 0; i < OBJECTS; i++) objects[i].n = 0;
    program->setup();
    for (unsigned i = 0; i < MODEL_THREADS; i++) {
        thread *t = &threads[i];
        memset(t, 0, sizeof *t);
        t->last_store = UINT8_MAX;
        if (!program->thread[i])
            t->status = DONE;
        else if (ars_coro_new_on(&t->coro, stacks[i], sizeof stacks[i], body, NULL) < 0)
            die("stacks");
    }
    /* Each up to its first access. */
    for (unsigned i = 0; i < MODEL_THREADS; i++)
        if (program->thread[i]) resume(&threads[i]);
}

/* One execution, or as much of it as is new. */
static void execute(void)
{
    unsigned last = 0;
    begin();
    while (!failure[0]) {
        unsigned able[MODEL_THREADS], n = 0, done = 0;
        for (unsigned k = 0; k < MODEL_THREADS; k++) {
            unsigned i = (last + k) % MODEL_THREADS;
            if (can_run(&threads[i])) able[n++] = i;
            done += threads[i].status == DONE;
        }
        if (n == 0) {
            if (done < MODEL_THREADS)
                fail("stuck: nobody will wake who waits");
            else if (program->finish)
                program->finish();
            break;
        }
        if (choice_at == choice_count && !visit(state())) break;
        last = able[choose(n)];
        resume(&threads[last]);
    }
    for (unsigned i = 0; i < MODEL_THREADS; i++) {
        if (program->thread[i]) ars_coro_free(threads[i].coro);
    }
    executions++;
}

int model_explore(const model_program *p)
{
    program = p;
    free(visited);
    visited = NULL;
    visited_count = visited_size = 0;
    executions = 0;
    choice_count = object_count = 0;
    met = 0;
    do execute();
    while (!failure[0] && next_choices());
    return !failure[0];
}

/* ---- weakening ---- */

static const char *const order_names[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
static const char *const op_names[] = {"load", "store", "swap", "add", "or", "and", "cas"};

/* Whether 'order' is one for 'site', and weaker than its own. */
static int weaker(const model_site *site, enum model_order order)
{
    if (order >= site->order || (site->op == MODEL_LOAD && order >= MODEL_RELEASE)) return 0;
    if (site->op == MODEL_STORE && (order == MODEL_ACQUIRE || order == MODEL_ACQ_REL)) return 0;
    return !(site->order == MODEL_RELEASE && order == MODEL_ACQUIRE);
}

static void site_name(const model_site *site, char *text, size_t size)
{
    unsigned nth = 1;
    for (unsigned i = 0; i < site_count; i++)
        nth += sites[i]->op == site->op && sites[i]->line < site->line &&
               strcmp(sites[i]->function, site->function) == 0;
    snprintf(text, size, "%s %s %u", site->function, op_names[site->op], nth);
}

static void show_events(void)
{
    for (unsigned i = 0; i < event_count; i++) {
        char name[96];
        site_name(events[i].site, name, sizeof name);
        fprintf(stderr, "  %u  %-36s object %u, store %u: %llx\n", events[i].thread, name,
                events[i].object, events[i].store, (unsigned long long)events[i].value);
    }
}

/*
 * Whether the header with the site weakened fails, or is listed as one that need not; else 0.
 * 'meets' is for each program what it meets as it is: those that do not come to the site are left out.
 */
static int weakened(const model_program *programs, size_t n, const uint64_t *meets,
                    model_site *site, enum model_order order, const model_survivor *survivors,
                    size_t survivor_count)
{
    char name[96];
    const char *why = NULL;
    int failed = 0;
    site_name(site, name, sizeof name);
    for (size_t i = 0; i < survivor_count; i++)
        if (survivors[i].where && strcmp(survivors[i].where, name) == 0 &&
            strstr(survivors[i].orders, order_names[order]))
            why = survivors[i].why;
    site->used = order;
    for (size_t i = 0; i < n && !failed; i++)
        failed =
            !programs[i].large && (meets[i] >> site->number & 1) && !model_explore(&programs[i]);
    site->used = site->order;
    if (failed && !why) {
        printf("  %s, %s instead of %s: %s: %s\n", name, order_names[order],
               order_names[site->order], program->name, failure);
        return 1;
    }
    if (!failed && why) {
        printf("  %s, %s instead of %s: does no harm: %s\n", name, order_names[order],
               order_names[site->order], why);
        return 1;
    }
    fprintf(stderr, "%s, %s instead of %s: %s\n", name, order_names[order],
            order_names[site->order],
            failed ? "is said to do no harm, but fails" : "nothing fails");
    return 0;
}

int model_main(const model_program *programs, size_t n, const model_survivor *survivors,
               size_t survivor_count)
{
    int bad = 0;
    uint64_t meets[PROGRAMS];
    if (n > PROGRAMS) return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (ARS__TSAN) {
        printf("skipped: one thread runs here\n");
        return 77;
    }
    for (size_t i = 0; i < n; i++) {
        if (!model_explore(&programs[i])) {
            fprintf(stderr, "%s: %s\n", programs[i].name, failure);
            show_events();
            return 1;
        }
        printf("%s: %zu states, %lu executions\n", programs[i].name, visited_count, executions);
        meets[i] = met;
    }
    unsigned weakenings = 0;
    for (unsigned i = 0; i < site_count; i++) {
        /* Those of the program itself are not in question. */
        if (strncmp(sites[i]->function, "ars_", 4) != 0) continue;
        for (int order = 0; order < MODEL_SEQ_CST; order++) {
            if (!weaker(sites[i], (enum model_order)order)) continue;
            weakenings++;
            bad += !weakened(programs, n, meets, sites[i], (enum model_order)order, survivors,
                             survivor_count);
        }
    }
    printf("%u weakenings\n", weakenings);
    return bad != 0;
}
