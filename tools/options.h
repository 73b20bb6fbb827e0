/* SPDX-License-Identifier: MIT */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

/*
 * Strict command lines for the programs of tools/ and bench/.
 *
 * A table says what there is; whatever else is given ends the program with one
 * line on stderr and exit code 2.  "--name VALUE" and "--name=VALUE" are the
 * same; "--help" prints the table.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_kind {
    OPTION_FLAG,   /* *(int *)value becomes 1 */
    OPTION_INT,    /* *(long *)value, from min to max */
    OPTION_NUMBER, /* *(double *)value, from min to max */
    OPTION_TEXT,   /* *(const char **)value */
    OPTION_LIST    /* value is a struct option_list: may be given several times */
};

struct option_list {
    const char **items;
    int n, max;
};

struct option {
    const char *name; /* without the dashes; NULL ends the table */
    enum option_kind kind;
    void *value;
    double min, max;
    const char *argument; /* what --help calls the value */
    const char *help;
};

struct command_line {
    const char *program;
    const char *usage;   /* what follows the program's name */
    const char *purpose; /* one sentence */
    const struct option *options;
    struct option_list *words; /* takes what is not an option; NULL: nothing may be */
};

static inline void options_help(const struct command_line *cl)
{
    printf("usage: %s %s\n%s\n\n", cl->program, cl->usage, cl->purpose);
    for (const struct option *o = cl->options; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-24s %s\n", left, o->help);
    }
}

/* Says what is wrong with the command line and ends the program. */
#define options_fail(cl, ...)                                                                      \
    do {                                                                                           \
        fprintf(stderr, "%s: ", (cl)->program);                                                    \
        fprintf(stderr, __VA_ARGS__);                                                              \
        fprintf(stderr, " (%s --help lists the options)\n", (cl)->program);                        \
        exit(2);                                                                                   \
    } while (0)

static inline void options_store(const struct command_line *cl, const struct option *o,
                                 const char *text)
{
    char *end = NULL;
    struct option_list *list = (struct option_list *)o->value;

    errno = 0;
    switch (o->kind) {
    case OPTION_INT: {
        long n = strtol(text, &end, 10);
        if (end == text || *end || errno || (double)n < o->min || (double)n > o->max)
            options_fail(cl, "--%s needs a whole number from %.0f to %.0f, not '%s'", o->name,
                         o->min, o->max, text);
        *(long *)o->value = n;
        break;
    }
    case OPTION_NUMBER: {
        double x = strtod(text, &end);
        if (end == text || *end || errno || !(x >= o->min && x <= o->max))
            options_fail(cl, "--%s needs a number from %g to %g, not '%s'", o->name, o->min, o->max,
                         text);
        *(double *)o->value = x;
        break;
    }
    case OPTION_LIST:
        if (list->n == list->max) options_fail(cl, "--%s: at most %d", o->name, list->max);
        list->items[list->n++] = text;
        break;
    case OPTION_TEXT: *(const char **)o->value = text; break;
    case OPTION_FLAG: break;
    }
}

static inline void options_parse(const struct command_line *cl, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (word[0] != '-' || !word[1]) {
            if (!cl->words) options_fail(cl, "unexpected argument '%s'", word);
            if (cl->words->n == cl->words->max)
                options_fail(cl, "one argument too many: '%s'", word);
            cl->words->items[cl->words->n++] = word;
            continue;
        }
        if (!strcmp(word, "--help") || !strcmp(word, "-h")) {
            options_help(cl);
            exit(0);
        }
        const char *equals = strchr(word, '=');
        size_t len = equals ? (size_t)(equals - word) : strlen(word);
        const struct option *o = cl->options;
        while (o->name && !(len == strlen(o->name) + 2 && !strncmp(word, "--", 2) &&
                            !strncmp(word + 2, o->name, len - 2)))
            o++;
        if (!o->name) options_fail(cl, "unknown option '%.*s'", (int)len, word);
        if (o->kind == OPTION_FLAG) {
            if (equals) options_fail(cl, "--%s takes no value", o->name);
            *(int *)o->value = 1;
        } else {
            const char *value = equals ? equals + 1 : argv[++i];
            if (!value) options_fail(cl, "--%s needs a value", o->name);
            options_store(cl, o, value);
        }
    }
}

#endif
