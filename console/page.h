/* SPDX-License-Identifier: Apache-2.0 */
/* The page for a browser: the files of console/page/, in the program. */
#ifndef CONSOLE_PAGE_H
#define CONSOLE_PAGE_H

#include <stddef.h>

#include "net/http.h"

extern const char console_page_html[], console_page_css[], console_page_js[];
extern const size_t console_page_html_bytes, console_page_css_bytes, console_page_js_bytes;

enum { CONSOLE_PAGE_ROUTES = 3 };

/* "/" and what it loads. All it shows it reads from the console's other routes. */
void console_page_routes(struct http_route out[CONSOLE_PAGE_ROUTES]);

#endif
