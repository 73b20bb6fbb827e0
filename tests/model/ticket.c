/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <arsenal/ticket.h>

#define TYPE   ars_ticket
#define LOCK   ars_ticket_lock
#define TRY    ars_ticket_try
#define UNLOCK ars_ticket_unlock
#include "lock.h"
