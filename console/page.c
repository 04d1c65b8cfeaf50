/* SPDX-License-Identifier: Apache-2.0 */
#include "console/page.h"

#include "base/str.h"
#include "net/http.h"

/* Nothing but the page's own files, from nowhere else, in nobody's frame. */
static const char policy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static void send_file(struct http_reply *reply, const char *type, const char *text, size_t n)
{
    http_content_type(reply, type);
    http_field(reply, "Content-Security-Policy", str_of(policy));
    http_field(reply, "X-Content-Type-Options", str_of("nosniff"));
    http_field(reply, "Referrer-Policy", str_of("no-referrer"));
    http_field(reply, "Cache-Control", str_of("no-cache"));
    http_add(reply, text, n);
}

static void html(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    send_file(reply, "text/html; charset=utf-8", console_page_html, console_page_html_bytes);
}

static void css(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    send_file(reply, "text/css; charset=utf-8", console_page_css, console_page_css_bytes);
}

static void js(void *ctx, const struct http_request *req, struct http_reply *reply)
{
    send_file(reply, "text/javascript; charset=utf-8", console_page_js, console_page_js_bytes);
}

void console_page_routes(struct http_route out[CONSOLE_PAGE_ROUTES])
{
    enum { reads = HTTP_GET | HTTP_HERE };

    out[0] = (struct http_route){"/", reads, false, html, NULL};
    out[1] = (struct http_route){"/page.css", reads, false, css, NULL};
    out[2] = (struct http_route){"/page.js", reads, false, js, NULL};
}
