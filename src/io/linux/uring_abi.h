/* SPDX-License-Identifier: MIT */
#ifndef ARS_IO_LINUX_URING_ABI_H
#define ARS_IO_LINUX_URING_ABI_H

/* The kernel's io_uring interface, with what Debian's headers (6.1) do not know yet. */

#include <linux/io_uring.h>

#ifndef IORING_SETUP_NO_SQARRAY
#define IORING_SETUP_NO_SQARRAY (1U << 16) /* 6.6 */
#endif
#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4) /* 6.10 */
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif

#endif
