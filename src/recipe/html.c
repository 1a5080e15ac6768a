/* html.c: see html.h. */
#include "recipe/html.h"

#include <string.h>
#include <time.h>

/* Length of the valid UTF-8 character at s, or 0. */
static size_t utf8_char(const uint8_t *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    bool bad = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F) ||
               (s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F);
    return bad ? 0 : len;
}

void r1_html_text(r1_buf *b, const char *text, size_t n)
{
    const uint8_t *s = (const uint8_t *)text;
    for (size_t i = 0; i < n;) {
        size_t len = utf8_char(s + i, n - i);
        if (s[i] == '<')
            r1_buf_puts(b, "&lt;");
        else if (s[i] == '>')
            r1_buf_puts(b, "&gt;");
        else if (s[i] == '&')
            r1_buf_puts(b, "&amp;");
        else if (s[i] == '"')
            r1_buf_puts(b, "&quot;");
        else if (len == 0 || s[i] == 0x7F || (s[i] < 0x20 && s[i] != '\n' && s[i] != '\t'))
            r1_buf_puts(b, "\xEF\xBF\xBD");
        else
            r1_buf_append(b, s + i, len);
        i += len ? len : 1;
    }
}

void r1_html_string(r1_buf *b, const char *s)
{
    r1_html_text(b, s ? s : "", s ? strlen(s) : 0);
}

void r1_html_time(r1_buf *b, double seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    char text[40];
    if (seconds > 0 && gmtime_r(&t, &tm) && strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm))
        r1_buf_printf(b, "%s UTC", text);
    else
        r1_buf_puts(b, "unknown");
}

/* Colours, by the reader's choice of light or dark. */
static const char palette[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#667079;--line:#d9dee3;"
    "--card:#f6f8fa;--good:#1a7f37;--bad:#b3261e;"
    "--c0:#1f6feb;--c1:#d1570c;--c2:#1a7f37;--c3:#8250df;--c4:#bf3989;--c5:#9a6700;"
    "--c6:#0a7f8c;--c7:#57606a}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#0f1317;--fg:#e3e8ec;--dim:#8d98a3;"
    "--line:#2c343c;--card:#171c22;--good:#4ac26b;--bad:#ff7b72;"
    "--c0:#58a6ff;--c1:#f0883e;--c2:#4ac26b;--c3:#bc8cff;--c4:#f778ba;--c5:#d8a634;"
    "--c6:#43c5d1;--c7:#a5afb9}}\n";

/* What charts are made of. */
static const char marks[] =
    ".grid{stroke:var(--line);fill:none}text{fill:var(--dim);font-size:12px}"
    ".yl{text-anchor:end}.xl{text-anchor:middle}\n"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}.faint{stroke-width:1;opacity:.35}\n"
    ".c0{stroke:var(--c0);background:var(--c0)}.c1{stroke:var(--c1);background:var(--c1)}"
    ".c2{stroke:var(--c2);background:var(--c2)}.c3{stroke:var(--c3);background:var(--c3)}"
    ".c4{stroke:var(--c4);background:var(--c4)}.c5{stroke:var(--c5);background:var(--c5)}"
    ".c6{stroke:var(--c6);background:var(--c6)}.c7{stroke:var(--c7);background:var(--c7)}\n"
    "circle{fill:var(--card)}\n";

static const char page[] =
    "body{margin:0 auto;padding:24px;max-width:1200px;background:var(--bg);color:var(--fg);"
    "font:15px/1.5 system-ui,sans-serif}\n"
    "h1{margin:0;font-size:26px}h2{margin:32px 0 8px;font-size:20px}.dim{color:var(--dim)}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));"
    "gap:16px;margin-top:20px}\n"
    "figure{margin:0;padding:12px;background:var(--card);border:1px solid var(--line);"
    "border-radius:8px}svg{width:100%;height:auto;display:block}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:13px}"
    ".legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px}\n"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "td,th{padding:3px 14px 3px 0;border-bottom:1px solid var(--line);text-align:right}"
    "td:first-child,th:first-child{text-align:left}\n"
    "article{margin:12px 0}pre{margin:4px 0;padding:12px;background:var(--card);"
    "border:1px solid var(--line);border-radius:8px;white-space:pre-wrap;"
    "overflow-wrap:anywhere;font-size:13px}.good{color:var(--good)}.bad{color:var(--bad)}\n";

void r1_html_begin(r1_buf *b, const char *title, const char *name)
{
    r1_buf_puts(b, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                   "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                   "<title>");
    r1_html_string(b, title);
    r1_buf_puts(b, " · ");
    r1_html_string(b, name);
    r1_buf_printf(b, "</title>\n<style>\n%s%s%s</style></head><body>\n<h1>", palette, marks,
                  page);
    r1_html_string(b, title);
    r1_buf_puts(b, "</h1>\n");
}

void r1_html_end(r1_buf *b)
{
    r1_buf_printf(b, "<p class=\"dim\">Written by r1 %s.</p>\n</body></html>\n", r1_version());
}

void r1_html_picture_begin(r1_buf *b, const char *title, int width, int height)
{
    r1_buf_printf(b,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
                  "width=\"%d\" height=\"%d\" role=\"img\"><title>",
                  width, height, width, height);
    r1_html_string(b, title);
    r1_buf_printf(b,
                  "</title>\n<style>\n%s%stext{font-family:system-ui,sans-serif}"
                  ".head{fill:var(--fg);font-weight:bold;font-size:14px}\n</style>\n"
                  "<rect width=\"%d\" height=\"%d\" fill=\"var(--bg)\"/>\n",
                  palette, marks, width, height);
}

void r1_html_picture_end(r1_buf *b)
{
    r1_buf_puts(b, "</svg>\n");
}
