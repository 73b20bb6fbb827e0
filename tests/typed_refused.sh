# SPDX-License-Identifier: MIT
# Usage: typed_refused.sh COMPILER [OPTION...]
#
# What <arsenal/typed.h> lets through and what not: each pair of lines below differs in the mistake.
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

cat >"$tmp/lines" <<'TEXT'
good | chan_send(jobs, &job, 0);
bad  | chan_send(jobs, &n, 0);
good | chan_send(jobs, &fixed, 0);
bad  | chan_send(jobs, job, 0);
good | rc = chan_recv(jobs, &job, 0);
bad  | rc = chan_recv(jobs, &fixed, 0);
bad  | rc = chan_recv(jobs, &n, 0);
bad  | chan_recv(jobs, &job, 0);
good | job = chan_take(jobs, &rc);
bad  | n = chan_take(jobs, &rc);
good | job = chan_take_as(struct job, jobs, &rc);
bad  | job = chan_take_as(struct other, jobs, &rc);
good | chan_put(jobs, {.id = 4});
bad  | chan_put(jobs, {.none = 4});
good | chan_put(jobs, job);
bad  | chan_put(numbers, job);
good | chan_put(pointers, &n);
bad  | chan_put(pointers, &job);
good | rc = ARS_SELECT(0, ARS_RECV(jobs, &job), ARS_SEND(jobs, &fixed));
bad  | rc = ARS_SELECT(0, ARS_RECV(jobs, &n), ARS_SEND(jobs, &fixed));
bad  | rc = ARS_SELECT(0, ARS_RECV(jobs, &job), ARS_SEND(jobs, &n));
bad  | rc = ARS_SELECT(0, ARS_RECV(jobs, &fixed), ARS_SEND(jobs, &fixed));
good | rc = ARS_SELECT(0, ARS_RECV(plain, &n), ARS_SEND(plain, &job));
good | chan_subscribe(numbers, &numbers, 4);
bad  | chan_subscribe(numbers, &jobs, 4);
good | go(group, worker, .id = 3, .jobs = jobs);
bad  | go(group, worker, .id = 3, .jobs = numbers);
bad  | go(group, worker, .number = 3);
good | go(group, worker, 3, jobs);
bad  | go(group, worker, 3, jobs, 4);
good | go(group, tick);
bad  | go(group, tick, 1);
good | go_opt(group, &(ars_task_opt){.name = "t"}, worker, .id = 3);
bad  | go_opt(group, &n, worker, .id = 3);
bad  | go(&n, worker, .id = 3);
good | ARS_TASK(most, char bytes[ARS_ARGS_MAX - 1];) { return self->bytes[0]; }
bad  | ARS_TASK(more, char bytes[ARS_ARGS_MAX];) { return self->bytes[0]; }
bad  | ARS_TASK(wide, _Alignas(32) char byte;) { return self->byte; }
bad  | ARS_TASK(other, int id;) { return self->number; }
TEXT

failed=0 number=0
while read -r want bar line; do
    number=$((number + 1))
    inside=$line outside= used=
    case $line in
    ARS_TASK*)
        inside= outside=$line
        used=${line#ARS_TASK(}
        used="+ go(group, ${used%%,*})"
        ;;
    esac
    cat >"$tmp/a.c" <<TEXT
#include <arsenal/short.h>
struct job { int id; };
struct other { int id; };
typedef ARS_CHAN_OF(struct job) job_chan;
typedef ARS_CHAN_OF(int) int_chan;
typedef ARS_CHAN_OF(int *) pointer_chan;
ARS_TASK(worker, int id; job_chan jobs;) { return self->id; }
ARS_TASK(tick) { return 0; }
$outside
int f(job_chan jobs, int_chan numbers, pointer_chan pointers, ars_chan *plain, ars_group *group);
int f(job_chan jobs, int_chan numbers, pointer_chan pointers, ars_chan *plain, ars_group *group)
{
    struct job job = {1};
    const struct job fixed = {2};
    int n = 0, rc = 0;
    $inside
    (void)jobs, (void)numbers, (void)pointers, (void)plain, (void)group, (void)job, (void)fixed;
    return n + rc + go(group, worker) + go(group, tick, ) $used;
}
TEXT
    if "$@" -c "$tmp/a.c" -o "$tmp/a.o" 2>"$tmp/errors"; then got=good; else got=bad; fi
    if [ $got != "$want" ]; then
        echo "should be $want: $line"
        head -n 5 "$tmp/errors"
        failed=1
    fi
done <"$tmp/lines"
echo "$number lines"
exit $failed
