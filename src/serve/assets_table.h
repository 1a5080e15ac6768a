/* assets_table.h: the table that tools/embed.c writes at build into assets_table.c. */
#ifndef R1_ASSETS_TABLE_H
#define R1_ASSETS_TABLE_H

#include "serve/assets.h"

extern const r1_asset r1_assets_table[]; /* sorted by path */
extern const int r1_assets_table_n;      /* 0: built without the page */

#endif
