/* SPDX-License-Identifier: MIT */
/* What a user's first program does: two tasks, and their sum out of ars_run(). */
#include <arsenal/run.h>

#include <stdio.h>
#include <string.h>

static int child(void *arg)
{
    *(int *)arg += ars_yield() == 0 ? 1 : 100;
    return 0;
}

static int root(void *arg)
{
    ars_group group;
    int rc = ars_group_init(&group, NULL, ARS_FAIL_FAST);
    if (rc < 0) return rc;
    ars_group_go(&group, child, arg, NULL);
    ars_group_go(&group, child, arg, NULL);
    rc = ars_group_wait(&group, ARS_FOREVER);
    return rc < 0 ? rc : *(int *)arg;
}

int main(void)
{
    char version[32];
    int count = 40;
    int rc = ars_run(root, &count, NULL);
    snprintf(version, sizeof version, "%d.%d.%d", ARS_VERSION_MAJOR, ARS_VERSION_MINOR,
             ARS_VERSION_PATCH);
    return rc == 42 && strcmp(version, ars_version()) == 0 ? 0 : 1;
}
