/* SPDX-License-Identifier: MIT */
/*
 * Random channel programs.  Two or three tasks, each with up to four sends,
 * receives, closes and selects on one or two channels.  An exhaustive model of
 * what the operations mean lists every outcome that is legal; what Arsenal does
 * must be one of them, on one worker and on several, and so must what Go does
 * where there is a go command.
 *
 * The model knows no queues: any two tasks that can meet may meet.  A select
 * with a default looks at its cases in turn, and may miss a partner that is
 * about to arrive.  Whoever cannot go on when nobody can is stuck.
 *
 * An outcome is a letter or two for each operation of each task: the value
 * received (A ...), 's' sent, 'x' closed, 'c' received from a closed channel,
 * 'P' sent to a closed one or closed twice, 'd' default, '#' stuck; a select
 * gives the case's digit first.
 */
#include <arsenal/select.h>

#include <stdlib.h>
#include <unistd.h>

#include "base/san.h"
#include "crew.h"

enum {
    TASKS = 3,
    OPS = 4,
    CHANS = 2,
    CASES = 3,
    PER_TASK = 2 * OPS + 1,
    RESULT = TASKS * PER_TASK
};

typedef struct action {
    int chan, sends; /* a receive if not */
    char value;      /* that it sends */
} action;

typedef struct op {
    enum { OP_ONE, OP_CLOSE, OP_SELECT } kind;
    int n, has_default;
    action cases[CASES]; /* OP_ONE and OP_CLOSE: the first */
} op;

typedef struct program {
    int tasks, chans;
    int caps[CHANS], ops[TASKS];
    op op[TASKS][OPS];
} program;

/* ---- generating ---- */

static uint64_t state_of_chance;

static int chance(int n)
{
    state_of_chance = state_of_chance * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (int)((state_of_chance >> 33) % (uint64_t)n);
}

static action random_action(const program *p, char *value)
{
    action a = {chance(p->chans), chance(2), 0};
    if (a.sends) a.value = (*value)++;
    return a;
}

static void generate(program *p, unsigned number)
{
    char value = 'A';
    state_of_chance = number * UINT64_C(0x9e3779b97f4a7c15) + 12345;
    memset(p, 0, sizeof *p);
    p->tasks = 2 + chance(2);
    p->chans = 1 + chance(2);
    for (int i = 0; i < p->chans; i++) p->caps[i] = chance(3);
    for (int t = 0; t < p->tasks; t++) {
        p->ops[t] = 1 + chance(p->tasks == 2 ? OPS : OPS - 1);
        for (int i = 0; i < p->ops[t]; i++) {
            op *o = &p->op[t][i];
            int dice = chance(10);
            o->kind = dice < 5 ? OP_ONE : dice < 6 ? OP_CLOSE : OP_SELECT;
            o->n = o->kind == OP_SELECT ? 1 + chance(CASES) : 1;
            o->has_default = o->kind == OP_SELECT && chance(4) == 0;
            for (int k = 0; k < o->n; k++) o->cases[k] = random_action(p, &value);
        }
    }
}

/* ---- the model ---- */

typedef struct model {
    char result[RESULT]; /* of each task PER_TASK bytes, 0 behind the last */
    char buffer[CHANS][4];
    unsigned char held[CHANS], closed[CHANS];
    unsigned char at[TASKS], looked[TASKS]; /* the operation; cases of it found not ready */
} model;

enum { SEEN = 1 << 18, LEGAL = 1 << 14 };

static model *seen;
static unsigned char *used;
static char (*legal)[RESULT];
static int legal_count;
static const program *running;

static void put_result(char *result, int task, int with_case, int which, char c)
{
    char *end = result + task * PER_TASK;
    end += strnlen(end, PER_TASK);
    if (with_case) *end++ = (char)('0' + which);
    *end = c;
}

static int is_legal(const char *result)
{
    for (int i = 0; i < legal_count; i++)
        if (!memcmp(legal[i], result, RESULT)) return i + 1;
    return 0;
}

static int visited(const model *m)
{
    uint64_t hash = 1469598103934665603u;
    for (size_t i = 0; i < sizeof *m; i++)
        hash = (hash ^ ((const unsigned char *)m)[i]) * 1099511628211u;
    for (size_t i = hash % SEEN, tries = 0;; i = (i + 1) % SEEN, tries++) {
        CHECK(tries < SEEN);
        if (!used[i]) {
            used[i] = 1;
            seen[i] = *m;
            return 0;
        }
        if (!memcmp(&seen[i], m, sizeof *m)) return 1;
    }
}

static int explore(const model *m);

/* Task 't' has done case 'k' of its operation. */
static void step(model *m, int t, const op *o, int k, char c)
{
    put_result(m->result, t, o->kind == OP_SELECT && c != 'd', k, c);
    m->at[t]++;
    m->looked[t] = 0;
}

static const op *current(const model *m, int t)
{
    return m->at[t] < running->ops[t] ? &running->op[t][m->at[t]] : NULL;
}

/* Case 'k' of task 't', without a partner: whether that could be done. */
static int alone(const model *m, int t, const op *o, int k)
{
    const action *a = &o->cases[k];
    int c = a->chan;
    model next = *m;
    if (a->sends && m->closed[c]) {
        step(&next, t, o, k, 'P');
    } else if (a->sends && m->held[c] < running->caps[c]) {
        next.buffer[c][next.held[c]++] = a->value;
        step(&next, t, o, k, 's');
    } else if (!a->sends && m->held[c]) {
        step(&next, t, o, k, m->buffer[c][0]);
        next.held[c]--;
        memmove(next.buffer[c], next.buffer[c] + 1, sizeof next.buffer[c] - 1);
        next.buffer[c][3] = 0;
    } else if (!a->sends && m->closed[c]) {
        step(&next, t, o, k, 'c');
    } else {
        return 0;
    }
    explore(&next);
    return 1;
}

/* Case 'k' of task 't', which sends, with any task that can receive. */
static int together(const model *m, int t, const op *o, int k)
{
    const action *a = &o->cases[k];
    int moved = 0;
    if (!a->sends || m->closed[a->chan] || running->caps[a->chan]) return 0;
    for (int u = 0; u < running->tasks; u++) {
        const op *other = current(m, u);
        if (u == t || !other || other->kind == OP_CLOSE) continue;
        for (int j = 0; j < other->n; j++) {
            if (other->cases[j].sends || other->cases[j].chan != a->chan) continue;
            /* Two that do not wait never find each other waiting. */
            if ((o->has_default && other->has_default) || (m->looked[t] >> k & 1) ||
                (m->looked[u] >> j & 1))
                continue;
            model next = *m;
            step(&next, t, o, k, 's');
            step(&next, u, other, j, a->value);
            explore(&next);
            moved = 1;
        }
    }
    return moved;
}

/* A look of a select with a default at a case that is not ready, or seems so. */
static int look(const model *m, int t, const op *o)
{
    model next = *m;
    int moved = 0;
    if (m->looked[t] == (1 << o->n) - 1) {
        step(&next, t, o, 0, 'd');
        explore(&next);
        return 1;
    }
    for (int k = 0; k < o->n; k++) {
        const action *a = &o->cases[k];
        int c = a->chan;
        if (m->looked[t] >> k & 1) continue;
        if (alone(m, t, o, k)) {
            moved = 1;
            continue;
        }
        if (a->sends ? m->held[c] < running->caps[c] : m->held[c] > 0) continue;
        next = *m;
        next.looked[t] |= (unsigned char)(1 << k);
        explore(&next);
        moved = 1;
    }
    return moved;
}

static int moves(const model *m, int t)
{
    const op *o = current(m, t);
    model next = *m;
    int moved = 0;
    if (!o) return 0;
    if (o->kind == OP_CLOSE) {
        int c = o->cases[0].chan;
        step(&next, t, o, 0, m->closed[c] ? 'P' : 'x');
        next.closed[c] = 1;
        explore(&next);
        return 1;
    }
    for (int k = 0; k < o->n; k++) moved |= together(m, t, o, k);
    if (o->has_default) return look(m, t, o) | moved;
    for (int k = 0; k < o->n; k++) moved |= alone(m, t, o, k);
    return moved;
}

static int explore(const model *m)
{
    int moved = 0;
    if (visited(m)) return 0;
    for (int t = 0; t < running->tasks; t++) moved |= moves(m, t);
    if (moved) return 0;
    model last = *m;
    for (int t = 0; t < running->tasks; t++)
        if (current(m, t)) put_result(last.result, t, 0, 0, '#');
    if (!is_legal(last.result)) {
        CHECK(legal_count < LEGAL);
        memcpy(legal[legal_count++], last.result, RESULT);
    }
    return 0;
}

static void enumerate(const program *p)
{
    model first;
    memset(&first, 0, sizeof first);
    memset(used, 0, SEEN);
    legal_count = 0;
    running = p;
    explore(&first);
    CHECK(legal_count > 0);
}

/* ---- what Arsenal does ---- */

typedef struct performance {
    const program *program;
    ars_chan *chans[CHANS];
    char result[RESULT];
    ars_atomic_u32 written[TASKS]; /* of each task: operations done, and 16 * bytes of result */
    ars_atomic_u32 ended;
} performance;

typedef struct actor {
    performance *show;
    int task;
    uint32_t dice; /* how often it lets others go first */
} actor;

/* The letter, or 0: cancelled. */
static char perform(performance *show, const op *o, int *which)
{
    char values[CASES] = {0};
    const action *a = &o->cases[0];
    int rc;
    *which = 0;
    if (o->kind == OP_CLOSE) return ars_chan_close(show->chans[a->chan]) == 0 ? 'x' : 'P';
    for (int k = 0; k < o->n; k++) values[k] = o->cases[k].value;
    if (o->kind == OP_ONE) {
        rc = a->sends ? ars_chan_send(show->chans[a->chan], values, ARS_FOREVER)
                      : ars_chan_recv(show->chans[a->chan], values, ARS_FOREVER);
        if (rc == ARS_EPIPE) return a->sends ? 'P' : 'c';
    } else {
        ars_case cases[CASES];
        for (int k = 0; k < o->n; k++) {
            ars_chan *chan = show->chans[o->cases[k].chan];
            cases[k] = o->cases[k].sends ? ARS_SEND(chan, &values[k]) : ARS_RECV(chan, &values[k]);
        }
        rc = ars_select(cases, (size_t)o->n, o->has_default ? 0 : ARS_FOREVER);
        if (rc == ARS_ETIMEDOUT) return 'd';
        if (rc >= 0) *which = rc & 0xffff;
        a = &o->cases[*which];
        if (rc >= ARS_CLOSED(0)) return a->sends ? 'P' : 'c';
        if (rc >= 0) rc = 0;
    }
    if (rc == ARS_ECANCELED) return 0;
    CHECK_EQ(rc, 0);
    return a->sends ? 's' : values[*which];
}

static int act(void *arg)
{
    actor *me = arg;
    performance *show = me->show;
    const program *p = show->program;
    for (int i = 0; i < p->ops[me->task]; i++) {
        const op *o = &p->op[me->task][i];
        int which;
        for (; me->dice & 1; me->dice >>= 1) (void)ars_yield();
        me->dice >>= 1;
        char c = perform(show, o, &which);
        if (!c) {
            put_result(show->result, me->task, 0, 0, '#');
            break;
        }
        put_result(show->result, me->task, o->kind == OP_SELECT && c != 'd', which, c);
        size_t bytes = strnlen(show->result + me->task * PER_TASK, PER_TASK);
        ars_atomic_u32_store_release(&show->written[me->task],
                                     (uint32_t)(bytes * 16) + (uint32_t)i + 1);
    }
    ars_atomic_u32_add_acq_rel(&show->ended, 1);
    return 0;
}

static int progress(const performance *show)
{
    uint32_t done = ars_atomic_u32_load_acquire(&show->ended);
    for (int t = 0; t < show->program->tasks; t++)
        done += ars_atomic_u32_load_acquire(&show->written[t]);
    return (int)done;
}

/* Whether there is a legal outcome in which each task has done what it has, and those left are stuck. */
static int may_be_stuck(const performance *show)
{
    for (int i = 0; i < legal_count; i++) {
        int fits = 1;
        for (int t = 0; t < show->program->tasks && fits; t++) {
            const char *end = legal[i] + t * PER_TASK;
            const char *hash = memchr(end, '#', PER_TASK);
            uint32_t written = ars_atomic_u32_load_acquire(&show->written[t]);
            int all = (int)(written % 16) == show->program->ops[t];
            size_t n = strnlen(end, PER_TASK) - (hash != NULL);
            fits =
                all == !hash && n == written / 16 && !memcmp(end, show->result + t * PER_TASK, n);
        }
        if (fits) return 1;
    }
    return 0;
}

static void describe(const program *p);

/* Waits until all have ended, or are stuck and may be; cancels those. */
static int watch(performance *show, ars_group *group)
{
    ars_time until = ars_after(10 * ARS_SECOND);
    int tasks = show->program->tasks, before = -1, quiet = 0;
    while ((int)ars_atomic_u32_load_acquire(&show->ended) < tasks) {
        int now = progress(show);
        quiet = now == before ? quiet + 1 : 0;
        before = now;
        if (quiet > 3 && may_be_stuck(show)) {
            ars_group_cancel(group, ARS_ECANCELED);
            return 1;
        }
        if (quiet > 3 && ars_now() > until) {
            describe(show->program);
            FAIL("nobody goes on, though somebody could");
        }
        CHECK_EQ(quiet < 3 ? ars_yield() : ars_sleep(ars_after(ARS_MILLISECOND / 10)), 0);
    }
    return 0;
}

/* The index of the legal outcome, from 1. */
static int run_once(const program *p)
{
    static uint32_t dice = 1;
    for (int attempt = 0;; attempt++) {
        performance show = {.program = p};
        actor actors[TASKS];
        ars_group group;
        CHECK_EQ(ars_group_init(&group, NULL, ARS_COLLECT), 0);
        for (int c = 0; c < p->chans; c++)
            CHECK_EQ(ars_chan_new(&show.chans[c], 1, (size_t)p->caps[c], NULL), 0);
        for (int t = 0; t < p->tasks; t++) {
            dice = dice * 1664525 + 1013904223;
            actors[t] = (actor){&show, t, dice >> 16};
            CHECK_EQ(ars_group_go(&group, act, &actors[t], NULL), 0);
        }
        int cut = watch(&show, &group), rc = ars_group_wait(&group, ARS_FOREVER);
        CHECK_EQ(rc, cut ? ARS_ECANCELED : 0);
        for (int c = 0; c < p->chans; c++) ars_chan_free(show.chans[c]);
        int index = is_legal(show.result);
        if (index) return index;
        /* A task that was slow, not stuck, may have been cut short; not every time. */
        if (!cut || attempt == 20) {
            describe(p);
            for (int t = 0; t < p->tasks; t++)
                printf("  task %d: %.9s\n", t, show.result + t * PER_TASK);
            FAIL("not a legal outcome");
        }
    }
}

static void describe(const program *p)
{
    for (int c = 0; c < p->chans; c++) printf("  channel %d: capacity %d\n", c, p->caps[c]);
    for (int t = 0; t < p->tasks; t++) {
        printf("  task %d:", t);
        for (int i = 0; i < p->ops[t]; i++) {
            const op *o = &p->op[t][i];
            if (o->kind == OP_CLOSE) printf(" close(%d)", o->cases[0].chan);
            if (o->kind == OP_SELECT) printf(" select{");
            for (int k = 0; o->kind != OP_CLOSE && k < o->n; k++) {
                const action *a = &o->cases[k];
                if (a->sends)
                    printf(" send(%d, %c)", a->chan, a->value);
                else
                    printf(" recv(%d)", a->chan);
            }
            if (o->kind == OP_SELECT) printf("%s}", o->has_default ? " default" : "");
        }
        printf("\n");
    }
}

static unsigned programs, times_each;

static int all_programs(void *arg)
{
    (void)arg;
    static unsigned char met[LEGAL + 1];
    long outcomes = 0, seen_outcomes = 0;
    for (unsigned i = 0; i < programs; i++) {
        program p;
        generate(&p, i);
        enumerate(&p);
        memset(met, 0, sizeof met);
        for (unsigned k = 0; k < times_each; k++) {
            int index = run_once(&p);
            seen_outcomes += !met[index];
            met[index] = 1;
        }
        outcomes += legal_count;
    }
    printf("  %u programs, %ld legal outcomes, %ld of them met\n", programs, outcomes,
           seen_outcomes);
    return 0;
}

static void begin(void)
{
    /* At most so many, and again and again the same, unless more are asked for. */
    const char *more = getenv("ARS_TEST_PROGRAMS");
    programs = more ? (unsigned)strtoul(more, NULL, 10) : (unsigned)test_times(500, 100);
    times_each = 10;
    seen = malloc(SEEN * sizeof *seen);
    used = malloc(SEEN);
    legal = malloc(LEGAL * sizeof *legal);
    CHECK(seen && used && legal);
}

static void end(void)
{
    free(seen);
    free(used);
    free(legal);
}

static void what_arsenal_does(void)
{
    begin();
    crew_run(all_programs, 1, 0);
    crew_run(all_programs, 4, 0);
    end();
}

/* ---- the model itself ---- */

/* Two tasks, one channel without room: send and receive; what can happen is known. */
static void what_the_model_says(void)
{
    begin();
    program p = {.tasks = 2, .chans = 1, .ops = {2, 1}};
    p.op[0][0] = (op){OP_ONE, 1, 0, {{0, 1, 'A'}}};
    p.op[0][1] = (op){OP_CLOSE, 1, 0, {{0, 0, 0}}};
    p.op[1][0] = (op){OP_SELECT, 1, 1, {{0, 0, 0}}};
    enumerate(&p); /* met, or missed and then the sender is stuck */
    CHECK_EQ(legal_count, 2);
    p.op[1][0].has_default = 0;
    enumerate(&p);
    CHECK_EQ(legal_count, 1);
    CHECK_STR(legal[0], "sx");
    CHECK_STR(legal[0] + PER_TASK, "0A");
    end();
}

/* ---- what Go does ---- */

static const char go_head[] =
    "package main\n\nimport (\n\t\"fmt\"\n\t\"reflect\"\n\t\"sync/atomic\"\n\t\"time\"\n)\n\n"
    "type action struct {\n\tchannel int\n\tsends bool\n\tvalue byte\n}\n"
    "type op struct {\n\tkind int\n\thasDefault bool\n\tcases []action\n}\n"
    "type program struct {\n\tcaps []int\n\ttasks [][]op\n}\n\nvar moved int64\n\n"
    "func perform(chans []chan byte, o op) (r string) {\n"
    "\twhich := \"\"\n"
    "\tdefer func() {\n\t\tif recover() != nil {\n\t\t\tr = which + \"P\"\n\t\t}\n\t}()\n"
    "\ta := o.cases[0]\n"
    "\tswitch {\n"
    "\tcase o.kind == 1:\n\t\tclose(chans[a.channel])\n\t\treturn \"x\"\n"
    "\tcase o.kind == 0 && a.sends:\n\t\tchans[a.channel] <- a.value\n\t\treturn \"s\"\n"
    "\tcase o.kind == 0:\n\t\tv, ok := <-chans[a.channel]\n\t\tif !ok {\n\t\t\treturn "
    "\"c\"\n\t\t}\n"
    "\t\treturn string(rune(v))\n\t}\n"
    "\tvar cases []reflect.SelectCase\n"
    "\tfor _, a := range o.cases {\n"
    "\t\tc := reflect.SelectCase{Dir: reflect.SelectRecv, Chan: "
    "reflect.ValueOf(chans[a.channel])}\n"
    "\t\tif a.sends {\n\t\t\tc.Dir = reflect.SelectSend\n\t\t\tc.Send = "
    "reflect.ValueOf(a.value)\n\t\t}\n"
    "\t\tcases = append(cases, c)\n\t}\n"
    "\tif o.hasDefault {\n\t\tcases = append(cases, reflect.SelectCase{Dir: "
    "reflect.SelectDefault})\n"
    "\t}\n"
    "\twhich = \"?\"\n" /* a panic does not tell which case it was */
    "\ti, v, ok := reflect.Select(cases)\n"
    "\tif i == len(o.cases) {\n\t\treturn \"d\"\n\t}\n"
    "\tw := fmt.Sprint(i)\n"
    "\tif o.cases[i].sends {\n\t\treturn w + \"s\"\n\t}\n"
    "\tif !ok {\n\t\treturn w + \"c\"\n\t}\n"
    "\treturn w + string(rune(v.Uint()))\n}\n\n"
    "func main() {\n"
    "\tresults := make([][]atomic.Value, len(programs))\n"
    "\tfor n, p := range programs {\n"
    "\t\tresults[n] = make([]atomic.Value, len(p.tasks))\n"
    "\t\tvar chans []chan byte\n"
    "\t\tfor _, c := range p.caps {\n\t\t\tchans = append(chans, make(chan byte, c))\n\t\t}\n"
    "\t\tfor t, ops := range p.tasks {\n"
    "\t\t\tresults[n][t].Store(\"#\")\n"
    "\t\t\tgo func(result *atomic.Value, ops []op) {\n"
    "\t\t\t\ts := \"\"\n"
    "\t\t\t\tfor i, o := range ops {\n"
    "\t\t\t\t\ts += perform(chans, o)\n"
    "\t\t\t\t\tif i == len(ops)-1 {\n\t\t\t\t\t\tresult.Store(s)\n"
    "\t\t\t\t\t} else {\n\t\t\t\t\t\tresult.Store(s + \"#\")\n\t\t\t\t\t}\n"
    "\t\t\t\t\tatomic.AddInt64(&moved, 1)\n\t\t\t\t}\n"
    "\t\t\t}(&results[n][t], ops)\n\t\t}\n\t}\n"
    "\tfor before := int64(-1); before != atomic.LoadInt64(&moved); {\n"
    "\t\tbefore = atomic.LoadInt64(&moved)\n\t\ttime.Sleep(500 * time.Millisecond)\n\t}\n"
    "\tfor _, r := range results {\n\t\tfor t := range r {\n"
    "\t\t\tfmt.Printf(\"%s \", r[t].Load())\n\t\t}\n\t\tfmt.Println()\n\t}\n}\n\n"
    "var programs = []program{\n";

static void write_go(FILE *out)
{
    fputs(go_head, out);
    for (unsigned n = 0; n < programs; n++) {
        program p;
        generate(&p, n);
        fputs("{[]int{", out);
        for (int c = 0; c < p.chans; c++) fprintf(out, "%d,", p.caps[c]);
        fputs("}, [][]op{", out);
        for (int t = 0; t < p.tasks; t++) {
            fputs("{", out);
            for (int i = 0; i < p.ops[t]; i++) {
                const op *o = &p.op[t][i];
                fprintf(out, "{%d, %s, []action{", (int)o->kind, o->has_default ? "true" : "false");
                for (int k = 0; k < o->n; k++)
                    fprintf(out, "{%d, %s, %d},", o->cases[k].chan,
                            o->cases[k].sends ? "true" : "false", o->cases[k].value);
                fputs("}},", out);
            }
            fputs("},", out);
        }
        fputs("}},\n", out);
    }
    fputs("}\n", out);
}

/* As strings are equal, but for a '?' in what Go did. */
static int alike(const char *go, const char *model_said)
{
    size_t n = strnlen(model_said, PER_TASK);
    if (strlen(go) != n) return 0;
    for (size_t i = 0; i < n; i++)
        if (go[i] != '?' && go[i] != model_said[i]) return 0;
    return 1;
}

static void check_go_line(unsigned number, char words[TASKS][32])
{
    program p;
    generate(&p, number);
    enumerate(&p);
    for (int i = 0; i < legal_count; i++) {
        int fits = 1;
        for (int t = 0; t < p.tasks; t++) fits &= alike(words[t], legal[i] + t * PER_TASK);
        if (fits) return;
    }
    describe(&p);
    FAIL("program %u: Go did %s %s %s, which the model does not know", number, words[0], words[1],
         words[2]);
}

static void what_go_does(void)
{
    char dir[] = "/tmp/chanprog-XXXXXX", path[64], command[160], line[128];
    if (ARS__ASAN || ARS__TSAN || system("go version >/dev/null 2>&1") != 0) {
        test_skipped("no go command on PATH (or a sanitizer is on): Go is not asked");
        return;
    }
    begin();
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/main.go", dir);
    FILE *out = fopen(path, "w");
    CHECK(out);
    write_go(out);
    CHECK_EQ(fclose(out), 0);
    snprintf(command, sizeof command, "cd %s && GO111MODULE=off go run main.go", dir);
    FILE *in = popen(command, "r");
    CHECK(in);
    for (unsigned n = 0; n < programs; n++) {
        char words[TASKS][32] = {"", "", ""};
        CHECK(fgets(line, sizeof line, in));
        CHECK(sscanf(line, "%31s %31s %31s", words[0], words[1], words[2]) >= 2);
        check_go_line(n, words);
    }
    CHECK_EQ(pclose(in), 0);
    unlink(path);
    rmdir(dir);
    printf("  %u programs run by Go, too\n", programs);
    end();
}

static const test_case cases[] = {
    {"what_the_model_says", what_the_model_says},
    {"what_arsenal_does", what_arsenal_does},
    {"what_go_does", what_go_does},
};
TEST_MAIN(cases)
